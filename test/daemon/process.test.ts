import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { pino } from 'pino';
import t from 'tap';
import { runTunnels } from '../../src/daemon/process.js';
import { Stack } from '../../src/index.js';
import type { Log } from '../../src/observe/log.js';
import { lossOf, type OpenStack } from '../../src/tunnel/host_stack.js';
import type { ServerOptions } from '../../src/tunnel/options.js';
import { createServer } from '../../src/tunnel/server.js';
import type { Tunnel } from '../../src/tunnel/tunnel.js';
import { SERVER4, socketpair } from '../support/device.js';
import { TUNNEL_OPTIONS } from '../support/tunnel_options.js';

interface Fixture {
  readonly tunnel: Tunnel;
  /** As if somebody deleted its interface. */
  readonly deleteDevice: () => void;
}

function logged(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const write = (line: string): void => void lines.push((JSON.parse(line) as { msg: string }).msg);
  return { log: pino({ level: 'info' }, { write }), lines };
}

/** A server on one end of a socketpair. It can be opened again as often as it is told. */
function server(log: Log, { signal, opens = 1 }: { signal?: AbortSignal; opens?: number } = {}): Fixture {
  let far: number | undefined;
  const openStack: OpenStack = async () => {
    if (opens-- === 0) throw new Error('cannot be opened');
    const [near, other] = socketpair();
    far = other;
    const stack = await Stack.open({ device: { descriptors: [near] }, addresses: [SERVER4] });
    return { stack, lost: lossOf(stack), done: [], [Symbol.asyncDispose]: () => stack.close() };
  };
  const options: ServerOptions = {
    ...TUNNEL_OPTIONS,
    log,
    local: { address: '::', port: 4567 },
    remote: { host: '127.0.0.1', port: 7000 },
    ...(signal ? { signal } : {}),
  };
  const tunnel = createServer(options, { openStack });
  const deleteDevice = (): void => {
    if (far !== undefined) closeSync(far);
    far = undefined;
  };
  void tunnel.ended.catch(() => {}).then(deleteDevice);
  return { tunnel, deleteDevice };
}

t.test('rights are given up once, and the process is ready when all tunnels are', { timeout: 30_000 }, async (t) => {
  const { log, lines } = logged();
  const controller = new AbortController();
  const { signal } = controller;
  const [first, second] = [server(log, { signal, opens: 2 }), server(log, { signal })];
  const tunnels = [first.tunnel, second.tunnel];
  const limited: string[] = [];
  const limitRights = (stage: string): string => {
    t.same(
      tunnels.map(({ state }) => state),
      ['new', 'new'],
      'before any of them is started',
    );
    limited.push(stage);
    return 'few rights';
  };
  const running = runTunnels(tunnels, { log, limitRights });
  while (!lines.some((line) => line.startsWith('ready'))) await once(second.tunnel, 'ready');
  t.equal(lines.filter((line) => line.startsWith('guise server')).length, 2, 'both have been set up');
  t.same(lines.slice(-2), ['few rights', `ready (pid ${process.pid})`]);
  const again = once(first.tunnel, 'ready');
  first.deleteDevice();
  await again;
  t.equal(lines.at(-1), `ready (pid ${process.pid})`, 'and again when one has been set up again');
  t.equal(second.tunnel.state, 'running', 'which is nothing to the other');
  controller.abort();
  await running;
  t.same(limited, ['tun']);
  t.equal(lines.filter((line) => line === 'few rights').length, 1);
  t.same(
    tunnels.map(({ state }) => state),
    ['stopped', 'stopped'],
  );
});

t.test(
  'when one cannot be started or set up again all are stopped, and its reason is told',
  { timeout: 30_000 },
  async (t) => {
    for (const opens of [0, 1]) {
      const { log } = logged();
      const [good, bad] = [server(log, { opens: 9 }), server(log, { opens })];
      bad.tunnel.on('ready', bad.deleteDevice);
      const running = runTunnels([good.tunnel, bad.tunnel], { log, limitRights: () => '' });
      await t.rejects(running, /cannot be opened/);
      t.same([good.tunnel.state, bad.tunnel.state], ['stopped', 'failed'], `opened ${opens} times`);
    }
  },
);

t.test('the first signal asks for the end, the second one ends at once', { timeout: 30_000 }, async (t) => {
  const module = new URL('../../src/daemon/process.js', import.meta.url).href;
  const script = `
    const { endSignal } = await import('${module}');
    endSignal().addEventListener('abort', () => console.log('asked'));
    setInterval(() => {}, 1000);
    console.log('ready');`;
  for (const [name, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'pipe' });
    const said = (): Promise<string> => once(child.stdout, 'data').then(([data]) => String(data).trim());
    t.equal(await said(), 'ready');
    child.kill(name);
    t.equal(await said(), 'asked');
    const ended = once(child, 'exit');
    child.kill(name);
    t.same(await ended, [code, null]);
  }
});
