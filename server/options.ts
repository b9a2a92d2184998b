import { readSettings, tunnelOptions, type ProgramOptions } from '../src/cli/options.js';
import type { ServerOptions } from '../src/tunnel/options.js';

export const SERVER = {
  role: 'server',
  usage:
    '$0 --local [IP:]PORT --remote HOST:PORT\n\n' +
    'Takes the connections of guise and phantun clients and sends each datagram to a UDP service.',
  example: ['$0 -l 443 -r 127.0.0.1:51820', 'WireGuard listens on 51820'],
  epilogue: 'Give WireGuard MTU = 1428 on both ends (1408 over IPv6).',
} as const;

/**
 * @param name of the program, as the user called it
 * @throws {UsageError}
 */
export function serverOptions(
  name: string,
  args: readonly string[],
  signal: AbortSignal,
  environment: NodeJS.ProcessEnv = process.env,
): ServerOptions & ProgramOptions {
  const { settings, ...program } = readSettings({ ...SERVER, name }, args, environment);
  return { ...tunnelOptions('server', settings, program, signal), local: settings.local };
}
