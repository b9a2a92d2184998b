/** From a command line to the options of a tunnel. */
import { readFileSync } from 'node:fs';
import {
  PACKET_OPTIONS,
  TUN_OPTIONS,
  USUAL_ADDRESSES,
  type Role,
  type Settings,
  type SharedSettings,
} from '../config/schema.js';
import { settingsOf } from '../config/settings.js';
import { usageError } from '../errors.js';
import { createLog, type Log } from '../observe/log.js';
import { standardError } from '../observe/log_output.js';
import type { TunnelOptions } from '../tunnel/options.js';
import { readCommandLine, type CommandLine, type GivenNames, type Program } from './command_line.js';

/** What a program has beside the options of its tunnel. */
export interface ProgramOptions {
  readonly log: Log;
  /** How the user named the options that were given. */
  readonly given: GivenNames;
}

/** Headers of IPv6 and TCP: what a segment of any family has beside its data. */
const HEADERS = 60;

/**
 * Reads command line and environment. Answers --help and --version, and ends the process then.
 *
 * @throws {UsageError} with the flag or variable, what it was given and what it takes
 */
export function readSettings<R extends Role>(
  program: Program & { readonly role: R },
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
): ProgramOptions & { readonly settings: Settings<R> } {
  const line = readCommandLine(program, args, environment);
  if ('answer' in line) return answer(line.answer);
  const warning = unknownVariables(line);
  let settings: Settings<R>;
  try {
    settings = settingsOf(program.role, line.values, (option) => line.given.get(option) ?? `--${option}`);
  } catch (error) {
    // Before the error: it may be the reason for it.
    if (warning !== undefined) standardError().write(`guise: ${warning}\n`);
    throw error;
  }
  const { logLevel: level, logFormat: format } = settings as SharedSettings;
  const log = createLog({ level, format });
  if (warning !== undefined) log.warn(warning);
  return { settings, log, given: line.given };
}

/** Says what --help or --version asks for. */
export function answer(text: string): never {
  process.stdout.write(`${text}\n`);
  process.exit(0);
}

/** What client and server do alike. */
export function tunnelOptions(
  role: Role,
  settings: SharedSettings,
  { log, given }: ProgramOptions,
  signal: AbortSignal,
): TunnelOptions & ProgramOptions {
  const { remote, tun, ipv4Only, idleTimeout, ignoreRst, queues, offload, firewall, mtu } = settings;
  const { tunLocal, tunPeer, tunLocal6, tunPeer6, handshakePacket } = settings;
  const { device, fwmark, bindDevice } = settings;
  return {
    remote,
    device: device === 'auto' ? wantedDevice(given) : device,
    ...(fwmark === undefined ? {} : { fwmark }),
    ...(bindDevice === undefined ? {} : { bindDevice }),
    ...(tun === undefined ? {} : { tun }),
    tunAddresses: {
      ...(tunLocal === undefined ? {} : { local4: tunLocal }),
      ...(tunPeer === undefined ? {} : { peer4: tunPeer }),
      ...(tunLocal6 === undefined ? {} : { local6: tunLocal6 }),
      ...(tunPeer6 === undefined ? {} : { peer6: tunPeer6 }),
    },
    usualAddresses: USUAL_ADDRESSES[role],
    ipv4Only,
    ...(handshakePacket === undefined ? {} : { handshakePacket: readPacket(handshakePacket, mtu, given) }),
    idleTimeout,
    ignoreRst,
    ...(queues === undefined ? {} : { queues }),
    offload,
    firewall,
    mtu,
    log,
    signal,
    given,
  };
}

/** What the options ask for that only one kind of device has. */
function wantedDevice(given: GivenNames): TunnelOptions['device'] {
  if (TUN_OPTIONS.some((option) => given.has(option))) return 'tun';
  return PACKET_OPTIONS.some((option) => given.has(option)) ? 'packet' : 'auto';
}

function readPacket(path: string, mtu: number, names: GivenNames): Uint8Array {
  const option = 'handshake-packet';
  const given = names.get(option) ?? option;
  let packet: Buffer;
  try {
    packet = readFileSync(path);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw usageError('ERR_GUISE_OPTION_FILE', { option, given, path, why }, error);
  }
  const most = mtu - HEADERS;
  if (packet.length >= 1 && packet.length <= most) return packet;
  throw usageError('ERR_GUISE_OPTION', {
    option,
    given,
    found: `one of ${packet.length}`,
    expected: `a file of 1 to ${most} bytes, which fit into one segment`,
  });
}

function unknownVariables({ unknownVariables: unknown }: CommandLine): string | undefined {
  if (unknown.length === 0) return undefined;
  const names = unknown.map(({ name, nearest }) => (nearest === undefined ? name : `${name} (${nearest}?)`));
  return `No option has the ${names.length > 1 ? 'variables' : 'variable'} ${names.join(', ')}: left alone.`;
}
