import { spawnSync } from 'node:child_process';
import t from 'tap';
import { compile, nodeHeaders, warningsOfTheRest } from '../support/compile.js';

// The native code without Node; each case of a program is a test of this run.
const names = [
  'unit',
  'reassembly',
  'engine',
  'path',
  'firewall',
  'leaks',
  'link_device',
  'packet_rows',
  'packet_port',
];
const programs = await compile({
  compiler: 'g++',
  sanitizers: 'address,undefined',
  mains: names.map((name) => `test/native/${name}.cc`),
});
for (const [index, program] of programs.entries()) {
  await t.spawn(program, [], {}, `native code under AddressSanitizer and UBSan: ${names[index]}`);
}

const [threads] = await compile({ compiler: 'g++', sanitizers: 'thread', mains: ['test/native/threads.cc'] });
await t.spawn(threads!, [], {}, 'native code under ThreadSanitizer: threads');
t.test('ThreadSanitizer sees a race when there is one', (t) => {
  const { status, stderr } = spawnSync(threads!, ['race'], { encoding: 'utf8' });
  t.not(status, 0);
  t.match(stderr, /ThreadSanitizer: data race/);
  t.end();
});

const headers = nodeHeaders();
t.test('g++ warns of nothing in the rest of the native code', { skip: headers ? false : 'no headers of Node' }, (t) => {
  t.same(warningsOfTheRest(headers!), {});
  t.end();
});
