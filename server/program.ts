import { runProgram } from '../src/cli/run.js';
import { runServer } from '../src/daemon/programs.js';
import { serverOptions } from './options.js';

await runProgram(
  (signal) => serverOptions('guise-server', process.argv.slice(2), signal),
  (options) => runServer(options),
);
