/** The package as it is published: packed, installed where nothing else is, and used. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

// It compiles the addon.
t.setTimeout(300_000);

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'guise-package-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

// What the npm and the tap that run this test tell their children is not for the npm that it starts.
const INHERITED = /^npm_(package|lifecycle)_|^npm_config_(local_prefix|ignore_scripts)$|^NODE_(OPTIONS|V8_COVERAGE)$/;
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !INHERITED.test(name)));
// Node's headers beside its binary spare node-gyp a download.
const prefix = dirname(dirname(process.execPath));
if (existsSync(join(prefix, 'include/node/node_api.h'))) env['npm_config_nodedir'] = prefix;

/** Runs a program; its standard output. Throws with what it said when it fails. */
function run(command: string, args: readonly string[], cwd = folder): string {
  return execFileSync(command, args, { cwd, env, encoding: 'utf8', stdio: 'pipe', maxBuffer: 1 << 26 });
}

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

const answer = JSON.parse(run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], root)) as
  Packed[] | Record<string, Packed>;
// npm 12 answers with an object by package name, npm 11 with a list.
const packed = Object.values(answer)[0]!;
const files = packed.files.map(({ path }) => path);

t.test('everything that binding.gyp names is packed', async (t) => {
  const gyp = readFileSync(join(root, 'binding.gyp'), 'utf8');
  const named = [...gyp.matchAll(/"([\w./]+\.(?:cc|gypi))"/g)].map((match) => match[1]!);
  t.ok(named.length > 1, 'sources are found in binding.gyp');
  t.same(
    named.filter((path) => !files.includes(path)),
    [],
  );
});

t.test('nothing is packed that an installation does not need', async (t) => {
  const needed =
    /^(dist\/(src|client|server)\/.*\.(js|d\.ts)|native\/.*\.(cc|h)|binding\.gyp|compiler\.gypi|package\.json|README\.md|LICENSE)$/;
  t.same(
    files.filter((path) => !needed.test(path)),
    [],
  );
});

t.test(
  'it installs into an empty folder, carries a datagram, and its program runs',
  { timeout: 300_000 },
  async (t) => {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', join(folder, packed.filename)]);

    writeFileSync(
      join(folder, 'use.js'),
      `import { createRequire } from 'node:module';
     import { Stack } from 'guise';
     const { socketpair } = createRequire(import.meta.url)(${JSON.stringify(join(root, 'build/Release/test_support.node'))});
     const [a, b] = socketpair();
     const client = await Stack.open({ device: { descriptors: [a] }, addresses: ['10.1.0.1'] });
     const server = await Stack.open({ device: { descriptors: [b] }, addresses: ['10.1.0.2'] });
     server.listen({ port: 4567 }).on('connection', (socket) => {
       socket.on('message', async (datagram) => {
         process.stdout.write(datagram);
         await Promise.all([client.close(), server.close()]);
       });
     });
     const socket = await client.connect({ address: '10.1.0.2', port: 4567 });
     socket.send(Buffer.from('through the package'));`,
    );
    t.equal(run(process.execPath, ['use.js']), 'through the package');

    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    t.equal(run('node_modules/.bin/guise', ['--version']).trim(), version);
  },
);
