import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const source = fileURLToPath(new URL('../../src', import.meta.url));

/** What a compiled module loads, itself and whatever that loads: type imports are gone. */
function reachable(module: string, found = new Set<string>()): Set<string> {
  if (found.has(module)) return found;
  found.add(module);
  if (!module.startsWith('/')) return found;
  for (const [, name] of readFileSync(module, 'utf8').matchAll(/^(?:import|export)\b[^;]*?from '([^']+)';/gm))
    reachable(name!.startsWith('.') ? resolve(dirname(module), name!) : name!, found);
  return found;
}

for (const module of [
  'fake_tcp/active_open.js',
  'fake_tcp/connection.js',
  'fake_tcp/liveness.js',
  'fake_tcp/timing_wheel.js',
  'kit/rate_limit.js',
  'wire/flags.js',
  'wire/profile.js',
  'wire/tuple.js',
  'wire/endpoint.js',
  'wire/address.js',
]) {
  t.test(`${module} loads no addon and nothing that does I/O`, async (t) => {
    const loaded = [...reachable(`${source}/${module}`)].map((each) => each.replace(`${source}/`, ''));
    const allowed = /^(fake_tcp|kit|wire)\/|^policy\.js$|^ipaddr\.js$|^node:net$/; // of node:net, isIPv6
    t.same(
      loaded.filter((each) => !allowed.test(each)),
      [],
    );
    t.notOk(loaded.includes('native/addon.js'));
  });
}

t.test('the walk finds the addon where it is loaded', async (t) => {
  t.ok(reachable(`${source}/index.js`).has(`${source}/native/addon.js`));
});
