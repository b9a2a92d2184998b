import { parseEndpoint } from '../src/config/addresses.js';
import { command } from '../src/cli/command.js';
import { inRange, sharedFlags, sharedOptions, TUNNEL } from '../src/cli/options.js';
import type { ClientOptions } from '../src/tunnel/options.js';

/** phantun's. */
const TUN = { local4: '192.168.200.1', peer4: '192.168.200.2', local6: 'fcc8::1', peer6: 'fcc8::2' };

/** @throws {UsageError} */
export async function clientOptions(
  name: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<ClientOptions> {
  const parsed = await command(name, args, {
    local: TUNNEL.text('UDP address that applications send to, IP:PORT', { alias: 'l', demandOption: true }),
    ...sharedFlags(TUN, 'TCP address of the server, HOST:PORT'),
    'connect-timeout': TUNNEL.number('seconds until a handshake has failed', { default: 15 }),
    keepalive: TUNNEL.number('seconds without traffic until the server is probed, at the latest; 0 for never', {
      default: 25,
    }),
    'dead-after': TUNNEL.number(
      'seconds of silence from a server that is sent datagrams until it is probed and, ' +
        'unless it answers, connected to anew',
      { default: 5 },
    ),
    profile: TUNNEL.choice("the server's kind; auto finds out", ['auto', 'guise', 'phantun'], 'auto'),
  })
    .usage(
      '$0 --local IP:PORT --remote HOST:PORT\n\n' +
        'Takes UDP datagrams and sends each as one TCP segment to a guise or phantun server.',
    )
    .example('$0 -l 127.0.0.1:51820 -r vpn.example.net:443', 'in wg0.conf: Endpoint = 127.0.0.1:51820')
    .epilogue(
      'Give WireGuard MTU = 1428 on both ends (1408 over IPv6).\n' +
        'Any flag can come from the environment: --idle-timeout 60 is GUISE_IDLE_TIMEOUT=60.',
    )
    .parseAsync();
  return {
    ...sharedOptions(parsed, TUN, signal),
    local: parseEndpoint(parsed.local),
    connectTimeout: inRange('connect-timeout', parsed.connectTimeout, 1, 3600) * 1000,
    keepalive: inRange('keepalive', parsed.keepalive, 0, 86_400) * 1000 || Infinity,
    deadAfter: inRange('dead-after', parsed.deadAfter, 1, 86_400) * 1000,
    profile: parsed.profile,
  };
}
