/** Runs the host's own tools (`ip`, `nft`, a shell) and turns their failures into one sentence. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { guiseError, programMissing, programUnfit } from '../errors.js';

/** A program that runs, with pipes to it. */
export interface Started extends ChildProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

/** What ends when a limit is raised. */
const LIMITS: readonly string[] = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'];

/** @throws {GuiseError} ERR_GUISE_PROGRAM_MISSING, ERR_GUISE_PROGRAM_UNFIT, ERR_GUISE_PROGRAM_START */
export async function start(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Started> {
  const env = { ...(options.env ?? process.env), PATH: searchPath(process.env['PATH']) };
  let child: ChildProcess;
  try {
    child = spawn(command, args, { ...options, env, stdio: 'pipe' });
    await once(child, 'spawn');
  } catch (cause) {
    const { code = 'unknown' } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw programMissing(command, cause);
    if (!LIMITS.includes(code)) throw programUnfit(command, `cannot be started (${code})`, cause);
    throw guiseError('ERR_GUISE_PROGRAM_START', { program: command, why: code }, cause);
  }
  const started = child as Started;
  started.stdin.on('error', () => {}); // its exit tells more than EPIPE
  return started;
}

/** Where the host's tools are; cron and some users have no PATH to them. */
const TOOLS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'];

function searchPath(path = ''): string {
  const folders = path.split(':').filter((folder) => folder !== '');
  return [...folders, ...TOOLS.filter((folder) => !folders.includes(folder))].join(':');
}

/** What a program lacks that is there, as far as what it complains of tells. */
function whatLacks(complaint: string): string | undefined {
  if (complaint.includes('BusyBox')) return "is BusyBox's, which can do less";
  if (complaint.includes('JSON support not compiled-in')) return 'was built without JSON';
  return undefined;
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
  const lack = whatLacks(complaint);
  if (lack !== undefined) throw programUnfit(command, lack);
  throw guiseError('ERR_GUISE_PROGRAM_FAILED', { command: [command, ...args].join(' '), said });
}
