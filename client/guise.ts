#!/usr/bin/env node
import { usageError } from '../src/errors.js';
import { runProgram } from '../src/daemon/run.js';
import { runClient, runServer } from '../src/daemon/programs.js';
import { serverOptions } from '../server/options.js';
import { clientOptions } from './options.js';

const [part, ...args] = process.argv.slice(2);

await runProgram(async (signal) => {
  if (part === 'client') return runClient(await clientOptions('guise client', args, signal));
  if (part === 'server') return runServer(await serverOptions('guise server', args, signal));
  if (part === '--help' || part === '-h') {
    process.stdout.write('guise client … | guise server …\nSee `guise client --help` and `guise server --help`.\n');
    return;
  }
  throw usageError('ERR_GUISE_USAGE', { what: 'Say `guise client` or `guise server`', program: 'guise' });
});
