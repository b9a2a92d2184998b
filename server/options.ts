import { parsePort } from '../src/config/addresses.js';
import { command } from '../src/cli/command.js';
import { sharedFlags, sharedOptions, TUNNEL } from '../src/cli/options.js';
import type { ServerOptions } from '../src/tunnel/options.js';

/** phantun's. */
const TUN = { local4: '192.168.201.1', peer4: '192.168.201.2', local6: 'fcc9::1', peer6: 'fcc9::2' };

/** @throws {UsageError} */
export async function serverOptions(
  name: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<ServerOptions> {
  const parsed = await command(name, args, {
    local: TUNNEL.text('TCP port that clients connect to', { alias: 'l', demandOption: true }),
    ...sharedFlags(TUN, 'UDP address of the service, HOST:PORT'),
  })
    .usage(
      '$0 --local PORT --remote HOST:PORT\n\n' +
        'Takes the connections of guise and phantun clients and sends each datagram to a UDP service.',
    )
    .example('$0 -l 443 -r 127.0.0.1:51820', 'WireGuard listens on 51820')
    .epilogue(
      'Give WireGuard MTU = 1428 on both ends (1408 over IPv6).\n' +
        'The port does not show up in `ss`: no socket of the kernel has it.\n' +
        'Any flag can come from the environment: --idle-timeout 60 is GUISE_IDLE_TIMEOUT=60.',
    )
    .parseAsync();
  return { ...sharedOptions(parsed, TUN, signal), local: parsePort(parsed.local) };
}
