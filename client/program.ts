import { runProgram } from '../src/cli/run.js';
import { runClient } from '../src/daemon/programs.js';
import { clientOptions } from './options.js';

await runProgram(
  (signal) => clientOptions('guise-client', process.argv.slice(2), signal),
  (options) => runClient(options),
);
