import { readSettings, tunnelOptions, type ProgramOptions } from '../src/cli/options.js';
import type { ClientOptions } from '../src/tunnel/options.js';

export const CLIENT = {
  role: 'client',
  usage:
    '$0 --local IP:PORT --remote HOST:PORT\n\n' +
    'Takes UDP datagrams and sends each as one TCP segment to a guise or phantun server.',
  example: ['$0 -l 127.0.0.1:51820 -r vpn.example.net:443', 'in wg0.conf: Endpoint = 127.0.0.1:51820'],
  epilogue: 'Give WireGuard MTU = 1428 on both ends (1408 over IPv6).',
} as const;

/**
 * @param name of the program, as the user called it
 * @throws {UsageError}
 */
export function clientOptions(
  name: string,
  args: readonly string[],
  signal: AbortSignal,
  environment: NodeJS.ProcessEnv = process.env,
): ClientOptions & ProgramOptions {
  const { settings, ...program } = readSettings({ ...CLIENT, name }, args, environment);
  const { local, connectTimeout, keepalive, deadAfter, profile } = settings;
  const shared = tunnelOptions('client', settings, program, signal);
  return { ...shared, local, connectTimeout, keepalive, deadAfter, profile };
}
