/** guise on packet sockets, with no right but those that they take. */
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { RunningProgram } from './process.js';
import type { Host, Rig } from './rig.js';
import { ping, startPeer } from './traffic.js';

export const SERVER = ['--local', '4567', '--remote', '127.0.0.1:7000'];
export const CLIENT = ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567'];
/** Silence is noticed soon. */
export const IMPATIENT = ['--dead-after', '1'];

const LEAST = ['--bounding-set', '-all,+net_raw,+net_bind_service', '--inh-caps', '-all'];

/**
 * Starts guise's client or server.
 *
 * @param wrap a command that ends with `exec "$@"`, and runs with all rights
 */
export function launch(
  host: Host,
  part: 'client' | 'server',
  args: readonly string[],
  wrap: readonly string[] = [],
): RunningProgram {
  const main = fileURLToPath(new URL(`../../${part}/main.js`, import.meta.url));
  const [command, ...rest] = [...wrap, 'setpriv', ...LEAST, process.execPath, main, '--device', 'packet', ...args];
  return host.start(command!, rest);
}

/** As `launch`, and waits until it is ready. */
export async function guise(...args: Parameters<typeof launch>): Promise<RunningProgram> {
  const program = launch(...args);
  await program.waitFor(/ready \(pid/);
  return program;
}

/** The UDP service behind the server, for as long as the rig is there. */
export async function startEcho(host: Host, address = '127.0.0.1:7000'): Promise<void> {
  await startPeer(host, `--bind ${address} --echo --from-all --idle 600`);
}

/** Server and client of a rig. */
export async function startTunnel(
  rig: Rig,
  client: readonly string[] = CLIENT,
  server: readonly string[] = SERVER,
): Promise<{ readonly client: RunningProgram; readonly server: RunningProgram }> {
  const running = await guise(rig.server, 'server', server);
  return { server: running, client: await guise(rig.client, 'client', client) };
}

/** Waits until the hosts' addresses are what they will be: link-local ones are tried out for a second or two. */
export async function settled(rig: Rig): Promise<void> {
  for (const host of rig.hosts) while ((await host.run('ip', ['address'])).includes('tentative'));
}

/** What is lost or wrong of datagrams that go both ways; `[0, 0]` where the tunnel works. */
export async function losses(host: Host, to = '127.0.0.1:5000'): Promise<[lost: number, wrong: number]> {
  const small = await ping(host, `--to ${to} --count 20 --size 30`);
  const large = await ping(host, `--to ${to} --count 20 --size 1400`);
  return [small.lost + large.lost, small.wrong + large.wrong];
}

/** CapEff of each thread of a process. */
export async function capabilities(pid: number): Promise<string[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  const read = threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/status`, 'utf8'));
  return (await Promise.all(read)).map((status) => /^CapEff:\s*(\w+)/m.exec(status)![1]!);
}

/** Everything of a host's network that somebody may set. */
export async function configuration(host: Host): Promise<Record<string, string>> {
  const commands = {
    ruleset: 'nft --stateless list ruleset',
    // What nobody may read is said on the other channel.
    sysctls: 'sysctl -a --pattern ^net[.]ipv[46][.]',
    links: 'ip -details link',
    addresses: 'ip address',
    rules: 'ip rule',
    rules6: 'ip -6 rule',
    routes: 'ip -4 route show table all',
    routes6: 'ip -6 route show table all',
  };
  const found: Record<string, string> = {};
  for (const [name, command] of Object.entries(commands)) {
    const [program, ...args] = command.split(' ');
    found[name] = await host.run(program!, args);
  }
  return found;
}
