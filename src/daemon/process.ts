/** What belongs to the process and not to a tunnel of it: the signals that end it, its privileges, when it is ready. */
import { leave } from '../native/process.js';
import type { Log } from '../observe/log.js';
import { standardError } from '../observe/log_output.js';
import { OBSERVE } from '../policy.js';
import { areLookUpsPending } from '../tunnel/resolve.js';
import type { TunnelState } from '../tunnel/snapshot.js';
import type { Tunnel } from '../tunnel/tunnel.js';
import { endsOnHangUp } from './hang_up.js';
import { dropPrivileges, type Stage } from './privileges.js';

/** Ends the process: with what of the log is taken, and without waiting for a resolver that does not answer. */
export function endProcess(code: number): never {
  standardError().flush(OBSERVE.logPatience);
  if (areLookUpsPending()) leave(code);
  process.exit(code);
}

/**
 * Aborts with the first SIGINT or SIGTERM; a second one ends the process at once. Aborts too when the terminal hangs up:
 * that is told more than once, by the kernel and by a shell, and often just when the end has been asked for.
 */
export function endSignal(): AbortSignal {
  const controller = new AbortController();
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) endProcess(128 + number);
      controller.abort();
    });
  }
  const ends = endsOnHangUp();
  process.on('SIGHUP', () => ends && controller.abort());
  return controller.signal;
}

/** States of a tunnel that the process waits for before it is ready. */
const NOT_YET: readonly TunnelState[] = ['new', 'starting', 'settingUpAgain'];

export interface ProcessOptions {
  readonly log: Log;
  /** Gives up rights, and says what is left of them; a test keeps its own. */
  readonly limitRights?: (stage: Stage) => string;
}

/**
 * Runs tunnels until they have ended; when one of them fails, all are stopped. Gives up all rights that setting them up
 * does not need before the first is started (what needs more has to be read before), and those that running does not need
 * when they are ready.
 *
 * @throws {GuiseError} of the first that could not be set up, or not again
 */
export async function runTunnels(
  tunnels: readonly Tunnel[],
  { log, limitRights = dropPrivileges }: ProcessOptions,
): Promise<void> {
  const on = (kind: 'packet' | 'tun'): boolean => tunnels.some(({ device }) => device.kind === kind);
  let rights = limitRights(on('packet') ? 'openPackets' : 'tun');
  let said = false;
  const onReady = (): void => {
    if (tunnels.some(({ state }) => NOT_YET.includes(state))) return;
    if (!said) {
      if (on('packet')) rights = limitRights(on('tun') ? 'tun' : 'packet');
      log.info(rights);
    }
    said = true;
    log.info(`ready (pid ${process.pid})`);
  };
  for (const tunnel of tunnels) tunnel.on('ready', onReady);
  try {
    await Promise.all(tunnels.map((tunnel) => tunnel.start()));
    await Promise.all(tunnels.map(({ ended }) => ended));
  } finally {
    await Promise.all(tunnels.map((tunnel) => tunnel.stop()));
    for (const tunnel of tunnels) tunnel.off('ready', onReady);
  }
}
