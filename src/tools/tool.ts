/** What the programs of `guise netstack` have in common: their flags, their stack, and what they say. */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { usageError, type UsageError } from '../errors.js';
import { Netstack, type NetstackOptions } from '../netstack/index.js';

/** One of the programs. */
export interface Tool {
  readonly HELP: string;
  /** Runs until it is done or the signal aborts. Rejects with one sentence. */
  run(args: readonly string[], signal: AbortSignal): Promise<void>;
}

/** The TUN that is taken unless the user names one. */
const TUN = 'tuna';

/** Ends each help. */
export const SET_UP = `The TUN is set up once, by root; the programs need no rights then. \`ip route add NETWORK dev ${TUN}\` leads more to it.
  sudo sh -c "ip tuntap add dev ${TUN} mode tun user $USER; ip address add 10.9.0.1/16 dev ${TUN}; ip link set ${TUN} up"
  sudo ip link del ${TUN}`;

/** Flags that each of them has. */
export const TUN_FLAG = { tun: { type: 'string' } } as const;

/** @throws {UsageError} */
export function readFlags<O extends NonNullable<ParseArgsConfig['options']>>(
  name: string,
  args: readonly string[],
  options: O,
): ReturnType<typeof parseArgs<{ args: string[]; options: O; allowPositionals: true }>> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    // What follows the first sentence is advice that does not help here.
    const [what] = (error as Error).message.split('. ') as [string];
    throw usageError('ERR_GUISE_USAGE', { what, program: `guise netstack ${name}` }, error);
  }
}

/** @throws {UsageError} when there are others than these many */
export function checkPlaces(name: string, places: readonly string[], least: number, most = least): void {
  if (places.length < least) throw wrongUsage(name, 'Something is missing');
  if (places.length > most) throw wrongUsage(name, `Unknown argument: ${places[most]!}`);
}

export function wrongUsage(name: string, what: string): UsageError {
  return usageError('ERR_GUISE_USAGE', { what, program: `guise netstack ${name}` });
}

/** Opens the stack on the TUN. */
export function openStack(tun = TUN, options: NetstackOptions = {}): Promise<Netstack> {
  return Netstack.open({ ...options, device: { name: tun } });
}

/** Says that it is ready, and waits until the signal aborts. Rejects when the TUN is gone. */
export function serve(stack: Netstack, signal: AbortSignal): Promise<void> {
  say(`ready on ${stack.name!} (pid ${process.pid})`);
  return new Promise((resolve, reject) => {
    stack.once('error', reject);
    signal.addEventListener('abort', () => resolve());
    if (signal.aborted) resolve();
  });
}

export function say(what: string): void {
  process.stderr.write(`guise: ${what}\n`);
}
