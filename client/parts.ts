import { readPart } from '../src/cli/command_line.js';
import { answer } from '../src/cli/options.js';
import { runProgram } from '../src/cli/run.js';
import { runClient, runServer } from '../src/daemon/programs.js';
import { serverOptions } from '../server/options.js';
import { clientOptions } from './options.js';

await runProgram(
  (signal) => {
    const part = readPart(process.argv.slice(2));
    if ('answer' in part) return answer(part.answer);
    if (part.role === 'client') return { role: part.role, ...clientOptions('guise client', part.args, signal) };
    return { role: part.role, ...serverOptions('guise server', part.args, signal) };
  },
  (options) => (options.role === 'client' ? runClient(options) : runServer(options)),
);
