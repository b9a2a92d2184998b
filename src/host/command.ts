/** Runs the host's own tools (`ip`, `nft`, a shell) and turns their failures into one sentence. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { guiseError, programMissing } from '../errors.js';

/** A program that runs, with pipes to it. */
export interface Started extends ChildProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

/** @throws {GuiseError} ERR_GUISE_PROGRAM_MISSING, ERR_GUISE_PROGRAM_START */
export async function start(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Started> {
  const child = spawn(command, args, { ...options, stdio: 'pipe' });
  try {
    await once(child, 'spawn');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw programMissing(command, cause);
    throw guiseError('ERR_GUISE_PROGRAM_START', { program: command, why: code ?? 'unknown' }, cause);
  }
  const started = child as Started;
  started.stdin.on('error', () => {}); // its exit tells more than EPIPE
  return started;
}

/** Lets this process end although the program runs. */
export function unref(child: Started): void {
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as { unref(): void }).unref();
}

/** Closes the program's standard input and waits for its end. */
export async function finish(child: Started): Promise<void> {
  if (!isRunning(child)) return;
  const ended = once(child, 'exit');
  child.ref();
  child.stdin.end();
  await ended;
}

export function isRunning(child: Started): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/**
 * @param input given to the tool's standard input
 * @returns its standard output
 * @throws {GuiseError} ERR_GUISE_PROGRAM_FAILED with what the tool said
 */
export async function run(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = await start(command, args);
  child.stdin.end(input);
  const [, output, complaint] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
  if (child.exitCode === 0) return output;
  const said = complaint.trim().split('\n')[0] ?? '';
  throw guiseError('ERR_GUISE_PROGRAM_FAILED', { command: [command, ...args].join(' '), said });
}
