/** Starts the host's own tools; what keeps one from starting becomes one sentence. */
import { spawn, type ChildProcessWithoutNullStreams, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { GuiseError } from '../errors.js';

const PACKAGES: Record<string, string> = { ip: 'iproute2', nft: 'nftables, or use --no-firewall' };

/** @throws {GuiseError} ERR_GUISE_SETUP */
export async function startChild(
  command: string,
  args: readonly string[],
  options: Omit<SpawnOptions, 'stdio'> = {},
): Promise<ChildProcessWithoutNullStreams> {
  const child = spawn(command, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] }) as ChildProcessWithoutNullStreams;
  try {
    await once(child, 'spawn');
  } catch (cause) {
    throw new GuiseError('ERR_GUISE_SETUP', whyNot(command, (cause as NodeJS.ErrnoException).code), { cause });
  }
  child.stdin.on('error', () => {}); // its exit tells more than EPIPE
  return child;
}

/** From now on neither the child nor its pipes keep this process alive. */
export function unref(child: ChildProcessWithoutNullStreams): void {
  child.unref();
  for (const stream of child.stdio) (stream as unknown as { unref(): void }).unref();
}

export function hasEnded({ exitCode, signalCode }: ChildProcessWithoutNullStreams): boolean {
  return exitCode !== null || signalCode !== null;
}

function whyNot(command: string, code: string | undefined): string {
  if (code === 'ENOENT') return `The program \`${command}\` is missing: install it (package ${PACKAGES[command] ?? command}).`;
  const mend = code === 'EMFILE' || code === 'ENFILE' ? 'raise the limit of open files with `ulimit -n`' : 'see dmesg';
  return `The program \`${command}\` cannot be started (${code}): ${mend}.`;
}
