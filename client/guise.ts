#!/usr/bin/env node
import { begin } from '../src/cli/entry.js';

begin(() => import('./parts.js'));
