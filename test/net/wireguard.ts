/** A real WireGuard (wireguard-go and wg) between two hosts of the rig. */
import type { Host } from './rig.js';
import type { RunningProgram } from './process.js';

export interface WireGuardEnd {
  readonly host: Host;
  /** Address inside, with its prefix length. */
  readonly address: string;
  readonly listenPort?: number;
  /** Where to reach the other end, on the side that begins. */
  readonly endpoint?: string;
}

/** A tunnel that is up, until it is disposed or the rig is. */
export interface WireGuard extends AsyncDisposable {
  /** Names of the interfaces, in the order of the ends given. */
  readonly interfaces: readonly [string, string];
}

let interfaces = 0;

/** Brings up an interface on both ends and gives them each other's keys. `mtu` in bytes. */
export async function wireGuard(one: WireGuardEnd, other: WireGuardEnd, mtu: number): Promise<WireGuard> {
  const ends = await Promise.all([one, other].map((end) => prepare(end)));
  for (const [index, end] of ends.entries()) {
    const peer = ends[1 - index]!;
    const allowed = `${peer.address.split('/')[0]}/32`;
    const args = ['set', end.name, 'private-key', '/dev/stdin', 'peer', peer.publicKey, 'allowed-ips', allowed];
    if (end.listenPort !== undefined) args.splice(2, 0, 'listen-port', `${end.listenPort}`);
    if (end.endpoint !== undefined) args.push('endpoint', end.endpoint);
    // Our pipes are sockets, which /dev/stdin cannot open again; the shell's are not.
    await end.host.run('sh', ['-c', 'cat | wg "$@"', 'wg', ...args], { input: end.privateKey });
    await end.host.run('ip', ['address', 'add', end.address, 'dev', end.name]);
    await end.host.run('ip', ['link', 'set', end.name, 'mtu', `${mtu}`, 'up']);
  }
  return {
    interfaces: [ends[0]!.name, ends[1]!.name],
    async [Symbol.asyncDispose]() {
      await Promise.all(ends.map(({ program }) => program.stop('SIGTERM')));
    },
  };
}

async function prepare(
  end: WireGuardEnd,
): Promise<WireGuardEnd & { name: string; privateKey: string; publicKey: string; program: RunningProgram }> {
  // The control sockets of all namespaces lie in one folder.
  const name = `wg${process.pid % 100_000}x${++interfaces}`;
  const program = end.host.start('wireguard-go', ['-f', name], {
    env: { LOG_LEVEL: 'verbose', WG_PROCESS_FOREGROUND: '1' },
  });
  await program.waitFor(/UAPI listener started/);
  const privateKey = await end.host.run('wg', ['genkey']);
  const publicKey = (await end.host.run('wg', ['pubkey'], { input: privateKey })).trim();
  return { ...end, name, privateKey, publicKey, program };
}
