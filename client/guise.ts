#!/usr/bin/env node
import { begin } from '../src/cli/entry.js';

// Neither loads anything of the other.
begin(() => (process.argv[2] === 'netstack' ? import('../src/tools/main.js') : import('./parts.js')));
