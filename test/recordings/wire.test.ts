import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { root } from '../support/compile.js';

/** Packets by the scene that they belong to. */
function scenes(recording: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of recording.trim().split('\n')) {
    if (line.startsWith('# ')) found.set(line.slice(2), []);
    else [...found.values()].at(-1)!.push(line);
  }
  return found;
}

const preloaded = `${root}build/recordings/fixed_chance.so`;
mkdirSync(`${root}build/recordings`, { recursive: true });
const source = `${root}test/recordings/fixed_chance.cc`;
execFileSync('g++', ['-shared', '-fPIC', '-O1', '-std=c++20', '-o', preloaded, source, '-ldl']);
const recording = execFileSync(
  process.execPath,
  ['--import', `${root}dist/test/recordings/fixed_chance.js`, `${root}dist/test/recordings/record.js`],
  { encoding: 'utf8', env: { ...process.env, LD_PRELOAD: preloaded }, timeout: 120_000 },
);

// Recorded from version 0.1.0, with the ISNs of SYN-ACKs as they are now: whoever changes the wire has to say so here.
const expected = scenes(readFileSync(`${root}test/recordings/wire.txt`, 'utf8'));
const recorded = scenes(recording);
t.same([...recorded.keys()], [...expected.keys()]);
for (const [name, packets] of expected) {
  t.test(`byte for byte as before: ${name}`, async (t) => {
    t.same(recorded.get(name), packets);
  });
}
