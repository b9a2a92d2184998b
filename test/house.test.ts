/** The rooms of docs/architecture.md: who may know whom. */
import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** From the top floor down; a room knows those below it. Rooms of one floor do not know each other. */
const FLOORS: readonly (readonly string[])[] = [
  ['client'],
  ['server'],
  ['src/tools'],
  ['src/cli'],
  ['src/daemon'],
  ['src/config'],
  ['src/tunnel'],
  ['src/host', 'src/observe', 'src/index.ts'],
  ['src/fake_tcp', 'src/netstack'],
  ['src/native'],
  ['src/kit'],
  ['src/errors.ts', 'src/policy.ts', 'src/clock.ts'],
  ['src/wire'],
  ['native/binding'],
  ['native/plane', 'native/netstack', 'native/process'],
  ['native/host'],
  ['native/io'],
  ['native/wire'],
];

const IMPORT = /(?:^|\n)\s*(?:import|export)\b[^'";]*?from '(\.[^']+)'|(?:^|\n)import '(\.[^']+)'/g;
const INCLUDE = /(?:^|\n)#include "([^"]+)"/g;

function files(...folders: string[]): string[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', ...folders], {
    cwd: root,
    encoding: 'utf8',
  });
  return listed.split('\n').filter((file) => /\.(ts|h|cc)$/.test(file));
}

/** The files of this tree that a file names. */
function imports(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  if (!file.endsWith('.ts')) return [...text.matchAll(INCLUDE)].map(([, path]) => `native/${path!}`);
  return [...text.matchAll(IMPORT)].map(([, from, bare]) =>
    normalize(join(dirname(file), (from ?? bare)!)).replace(/\.js$/, '.ts'),
  );
}

function floorOf(file: string): number {
  return FLOORS.findIndex((rooms) => rooms.some((room) => file === room || file.startsWith(`${room}/`)));
}

function roomOf(file: string): string | undefined {
  return FLOORS.flat().find((room) => file === room || file.startsWith(`${room}/`));
}

const all = files('src', 'client', 'server', 'native');
const arrows = all.flatMap((from) => imports(from).map((to) => [from, to] as const));

t.test('each file is in a room', async (t) => {
  t.ok(all.length > 80, `${all.length} files`);
  t.same(
    all.filter((file) => floorOf(file) < 0),
    [],
  );
});

t.test('an arrow leads to a file of this tree', async (t) => {
  t.same(
    arrows.filter(([, to]) => !all.includes(to)),
    [],
  );
});

t.test('arrows run downwards, or stay in their room', async (t) => {
  const up = arrows.filter(([from, to]) => roomOf(from) !== roomOf(to) && floorOf(to) <= floorOf(from));
  t.same(up, []);
});

t.test('no circle of files', async (t) => {
  const below = new Map(all.map((file) => [file, imports(file).filter((to) => all.includes(to))]));
  const done = new Set<string>();
  const circles: string[][] = [];
  const walk = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) {
      circles.push([...way.slice(way.indexOf(file)), file]);
      return;
    }
    if (done.has(file)) return;
    for (const to of below.get(file)!) walk(to, [...way, file]);
    done.add(file);
  };
  for (const file of all) walk(file, []);
  t.same(circles, []);
});

t.test('one file loads the addon, one folder knows Node-API', async (t) => {
  const holding = (text: string): string[] =>
    all.filter((file) => readFileSync(join(root, file), 'utf8').includes(text));
  t.same(holding('createRequire('), ['src/native/addon.ts']);
  t.ok(holding('<napi.h>').every((file) => file.startsWith('native/binding/')));
});

t.test('bytes know no system call: native/wire includes nothing of the kernel', async (t) => {
  for (const file of files('native/wire')) {
    const text = readFileSync(join(root, file), 'utf8');
    t.notMatch(text, /#include <(sys|linux|netinet|arpa|unistd|fcntl|poll|errno|cerrno)/, file);
  }
});
