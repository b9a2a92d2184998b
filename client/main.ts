#!/usr/bin/env node
import { runProgram } from '../src/daemon/run.js';
import { runClient } from '../src/daemon/programs.js';
import { clientOptions } from './options.js';

await runProgram(async (signal) => runClient(await clientOptions('guise-client', process.argv.slice(2), signal)));
