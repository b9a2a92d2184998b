import t from 'tap';
import { compile } from '../support/compile.js';

// The native code without Node; each case of a program is a test of this run.
const names = ['unit', 'engine', 'leaks'];
const programs = await compile({
  compiler: 'g++',
  sanitizers: 'address,undefined',
  mains: names.map((name) => `test/native/${name}.cc`),
});
for (const [index, program] of programs.entries()) {
  await t.spawn(program, [], {}, `native code under AddressSanitizer and UBSan: ${names[index]}`);
}
