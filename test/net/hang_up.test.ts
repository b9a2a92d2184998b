/** SIGHUP, with real terminals that go away, real nohup and setsid. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { noRig, Rig, type Host } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const main = fileURLToPath(new URL('../../server/main.js', import.meta.url));
const SERVER = `'${process.execPath}' '${main}' --local 4567 --remote 127.0.0.1:7000`;

interface Terminal {
  readonly screen: ChildProcess;
  /** What the server wrote to the file of its log. */
  log(): Promise<string>;
  waitFor(what: RegExp): Promise<string>;
}

/** Runs a command line on a terminal of its own. `$LOG` is a file. */
async function onTerminal(t: Test, host: Host, command: string): Promise<Terminal> {
  const folder = await mkdtemp(join(tmpdir(), 'guise-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'log');
  const screen = spawn('ip', ['netns', 'exec', host.name, 'script', '-qec', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, LOG: path, SHELL: '/bin/sh' },
    cwd: folder, // nohup.out
  });
  t.teardown(() => screen.kill('SIGKILL'));
  let shown = '';
  screen.stdout.on('data', (data) => (shown += String(data)));
  const log = async (): Promise<string> => shown + (await readFile(path, 'utf8').catch(() => ''));
  return {
    screen,
    log,
    waitFor: async (what) => {
      for (;;) {
        const found = what.exec(await log());
        if (found) return found[1] ?? found[0];
        await delay(20);
      }
    },
  };
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

async function ended(pid: number): Promise<void> {
  while (isAlive(pid)) await delay(20);
}

/** Whatever was started goes with the test. */
async function stop(pid: number): Promise<void> {
  process.kill(pid, 'SIGTERM');
  await ended(pid);
}

const PID = /ready \(pid (\d+)\)/;

t.test('the hang-up of its terminal ends a server in order', { skip, timeout: 60_000 }, async (t) => {
  for (const [how, command] of [
    ['in front', `exec ${SERVER} --device tun`],
    ['its log in a file', `exec ${SERVER} --device tun 2>"$LOG"`],
  ] as const) {
    await using rig = await Rig.create();
    const terminal = await onTerminal(t, rig.server, command);
    const pid = Number(await terminal.waitFor(PID));
    t.match(await rig.server.run('nft', ['list', 'ruleset']), /table inet guise_/);
    terminal.screen.kill('SIGKILL'); // as a window that is closed
    await ended(pid);
    t.notMatch(await rig.server.run('nft', ['list', 'ruleset']), /guise/, `${how}: nothing is left`);
    t.notMatch(await rig.server.run('ip', ['-br', 'link']), /tun/, how);
    if (how !== 'in front') t.match(await terminal.log(), /closing/);
  }
});

t.test('what nohup starts outlives its terminal', { skip, timeout: 120_000 }, async (t) => {
  for (const [how, command] of [
    ['nohup', `nohup ${SERVER} & while read -r line; do :; done; wait`],
    ['nohup with all redirected', `nohup ${SERVER} </dev/null >"$LOG" 2>&1 & wait`],
    ['a script that ignores it', `trap '' HUP; ${SERVER} 2>"$LOG"; :`],
    ['setsid', `setsid ${SERVER} 2>"$LOG" & wait`],
  ] as const) {
    await using rig = await Rig.create();
    const terminal = await onTerminal(t, rig.server, how === 'nohup' ? command.replace('&', '2>"$LOG" &') : command);
    const pid = Number(await terminal.waitFor(PID));
    const gone = once(terminal.screen, 'close');
    terminal.screen.kill('SIGKILL');
    await gone;
    // All of the terminal's own processes hear of it; the server by hand, too, where it was told to ignore it.
    if (how !== 'setsid') process.kill(pid, 'SIGHUP');
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567']);
    t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 3')).lost, 0, `${how}: it serves`);
    t.ok(isAlive(pid), how);
    await stop(pid);
  }
});

t.test('without a terminal SIGHUP is left alone, as is one behind SIGTERM', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const server = rig.server.start('nohup', ['sh', '-c', `exec ${SERVER} </dev/null`]);
  await server.waitFor(PID);
  process.kill(server.pid, 'SIGHUP');
  process.kill(server.pid, 'SIGHUP');
  process.kill(server.pid, 'SIGTERM');
  process.kill(server.pid, 'SIGHUP'); // systemd's SendSIGHUP=
  t.equal(await server.exited, 0);
  t.match(server.output, /closing/);
});
