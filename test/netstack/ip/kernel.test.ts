/** The kernel as the peer, over a TUN. */
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { run, start, type RunningProgram } from '../../net/process.js';
import { noRig } from '../../net/rig.js';
import { CLOSED_PORT, KERNEL, SESSIONS, STACK } from './on_tun_addresses.js';

const skip = noRig() ?? false;
const options = { skip, timeout: 120_000 };
const program = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
let created = 0;

/** A namespace with a stack in it. */
class Space implements AsyncDisposable {
  readonly #name = `guise-ip-${process.pid}-${++created}`;
  #stack: RunningProgram | undefined;

  async start(mode: string, mtu = 1500): Promise<RunningProgram> {
    await run('ip', ['netns', 'add', this.#name]);
    await this.run('ip', ['link', 'set', 'lo', 'up']);
    this.#stack = start('ip', this.#in(process.execPath, program('on_tun.js'), mode, `${mtu}`));
    await this.#stack.waitFor(/^(ready|\{.*\})$/);
    return this.#stack;
  }

  run(command: string, args: readonly string[]): Promise<string> {
    return run('ip', this.#in(command, ...args));
  }

  /** A line for each place. */
  async ask(question: 'echo' | 'refused', places: readonly (readonly [string, number, number])[]): Promise<string[]> {
    const said = await this.run(process.execPath, [
      program('kernel_client.js'),
      question,
      ...places.flat().map(String),
    ]);
    return said.trim().split('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack?.stop('SIGKILL');
    await run('ip', ['netns', 'delete', this.#name]).catch(() => {});
  }

  #in(...command: readonly string[]): string[] {
    return ['netns', 'exec', this.#name, ...command];
  }
}

t.test('every address answers a ping of any size', options, async (t) => {
  await using space = new Space();
  await space.start('echo');
  for (const address of [STACK[4], '203.0.113.77', STACK[6], '2001:db8:1:2::3']) {
    for (const size of [0, 56, 1472, 1473, 60_000]) {
      const said = await space.run('ping', ['-c', '3', '-i', '0.05', '-W', '20', '-s', `${size}`, address]);
      t.match(said, / 0% packet loss/, `${size} bytes to ${address}`);
      t.notMatch(said, /wrong data/);
    }
  }
});

async function allEcho(t: Test, space: Space, sizes: readonly number[]): Promise<void> {
  const places = [STACK[4], '203.0.113.1', SESSIONS, STACK[6], '2001:db8::5'].flatMap((address) =>
    sizes.map((size, index) => {
      const most = address.includes(':') ? 65_487 : 65_507;
      return [address, [1, 53, 40_000, 65_535][index % 4]!, Math.min(size, most)] as const;
    }),
  );
  const said = await space.ask('echo', places);
  t.equal(said.length, places.length);
  said.forEach((each, index) => t.equal(each, 'ok', places[index]!.join(' ')));
}

t.test('UDP comes back from every address and port, in any size', options, async (t) => {
  await using space = new Space();
  await space.start('echo');
  await allEcho(t, space, [0, 1, 1400, 1472, 1473, 2048, 2049, 9000, 65_507]);
});

t.test('fragments of a small MTU are put together and made', options, async (t) => {
  await using space = new Space();
  await space.start('echo', 1280);
  await allEcho(t, space, [1252, 1253, 5000, 65_507]);
  const said = await space.run('ping', ['-c', '3', '-i', '0.05', '-W', '20', '-s', '30000', STACK[6]]);
  t.match(said, / 0% packet loss/);
});

t.test('a closed port is refused, whatever was sent', options, async (t) => {
  await using space = new Space();
  await space.start('quiet');
  const places = [STACK[4], '203.0.113.5', STACK[6], '2001:db8::5'].flatMap((address) =>
    [0, 100, 5000].map((size, index) => [address, 33_434 + index, size] as const),
  );
  const said = await space.ask('refused', places);
  said.forEach((each, index) => t.equal(each, 'ECONNREFUSED', places[index]!.join(' ')));
});

t.test('the stack pings the kernel, and hears that a port of it is closed', options, async (t) => {
  await using space = new Space();
  const stack = await space.start('ask');
  const said = JSON.parse(stack.stdout) as Record<string, unknown>;
  for (const family of [4, 6] as const) {
    for (const size of [0, 56, 1473, 60_000]) t.same(said[`ping ${family} ${size}`], [KERNEL[family], size, true]);
    t.same(said[`closed ${family}`], ['ECONNREFUSED', KERNEL[family], CLOSED_PORT]);
  }
  t.equal(await stack.exited, 0);
});
