/** guise-client, but it looks the server's name up five times a second. */
import { clientOptions } from '../../client/options.js';
import { runProgram } from '../../src/daemon/run.js';
import { runClient } from '../../src/daemon/programs.js';

await runProgram(async (signal) =>
  runClient(await clientOptions('guise-client', process.argv.slice(2), signal), { lookUpInterval: 200 }),
);
