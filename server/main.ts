#!/usr/bin/env node
import { runProgram } from '../src/daemon/run.js';
import { runServer } from '../src/daemon/programs.js';
import { serverOptions } from './options.js';

await runProgram(async (signal) => runServer(await serverOptions('guise-server', process.argv.slice(2), signal)));
