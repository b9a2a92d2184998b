import { parseEndpoint } from '../src/addresses.js';
import { command } from '../src/cli/command.js';
import { inRange, sharedFlags, sharedOptions, type TunDefaults } from '../src/cli/options.js';
import type { ClientOptions } from '../src/tunnel/options.js';

/** phantun's. */
const TUN: TunDefaults = { local4: '192.168.200.1', peer4: '192.168.200.2', local6: 'fcc8::1', peer6: 'fcc8::2' };

/** @throws {UsageError} */
export async function clientOptions(name: string, args: readonly string[], signal: AbortSignal): Promise<ClientOptions> {
  const shared = sharedFlags(TUN);
  const flags = {
    local: {
      alias: 'l', type: 'string', demandOption: true, requiresArg: true, group: 'Tunnel:',
      describe: 'UDP address that applications send to, IP:PORT',
    },
    ...shared,
    remote: { ...shared.remote, describe: 'TCP address of the server, HOST:PORT' },
    'connect-timeout': {
      type: 'number', requiresArg: true, group: 'Tunnel:', default: 15, describe: 'seconds until a handshake has failed',
    },
    profile: {
      choices: ['auto', 'guise', 'phantun'] as const, group: 'Tunnel:', default: 'auto' as ClientOptions['profile'],
      describe: "the server's kind; auto finds out",
    },
  } as const;
  const parsed = await command(name, args, flags)
    .usage('$0 --local IP:PORT --remote HOST:PORT\n\nTakes UDP datagrams and sends each as one TCP segment to a guise or phantun server.')
    .example('$0 -l 127.0.0.1:51820 -r vpn.example.net:443', 'in wg0.conf: Endpoint = 127.0.0.1:51820')
    .epilogue('Give WireGuard MTU = 1428 on both ends (1408 over IPv6).\n'
      + 'Any flag can come from the environment: --idle-timeout 60 is GUISE_IDLE_TIMEOUT=60.')
    .parseAsync();
  return {
    ...sharedOptions(parsed, TUN, signal),
    local: parseEndpoint(parsed.local),
    connectTimeout: inRange('connect-timeout', parsed.connectTimeout, 1, 3600) * 1000,
    profile: parsed.profile,
  };
}
