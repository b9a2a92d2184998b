/** guise-client, but it looks the server's name up five times a second. */
import { clientOptions } from '../../client/options.js';
import { runProgram } from '../../src/cli/run.js';
import { runClient } from '../../src/daemon/programs.js';

await runProgram(
  (signal) => clientOptions('guise-client', process.argv.slice(2), signal),
  (options) => runClient(options, { lookUpInterval: 200 }),
);
