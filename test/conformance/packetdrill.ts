/** packetdrill, where `PACKETDRILL` names its program and `PACKETDRILL_SCRIPTS` the folder of its scripts for TCP. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const program = process.env['PACKETDRILL'] ?? '';
const folder = process.env['PACKETDRILL_SCRIPTS'] ?? '';

/** Why nothing can be run, or undefined when it can. */
export function noPacketdrill(): string | undefined {
  if (!existsSync(program)) return 'PACKETDRILL names no program (scripts/packetdrill builds it)';
  if (!existsSync(folder)) return 'PACKETDRILL_SCRIPTS names no folder';
  return undefined;
}

/** The scripts of the folder, by their paths in it. */
export function allScripts(): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.pkt')).sort();
}

export interface Outcome {
  readonly script: string;
  readonly passed: boolean;
  /** What packetdrill said: which line differs, and how. */
  readonly said: string;
}

const adapter = fileURLToPath(new URL('../../../build/Release/packetdrill_adapter.node', import.meta.url));
const server = fileURLToPath(new URL('stack_server.js', import.meta.url));
/** A script whose process does not end: the stack runs in circles. */
const PATIENCE = 60_000;

/**
 * Runs a script in a network namespace of its own: what it sets there configures our stack, and is gone with it. tun0 is
 * there for the commands that scripts run on it, and carries nothing.
 */
export async function runScript(script: string): Promise<Outcome> {
  const setUp = 'ip link set lo up && ip tuntap add tun0 mode tun && ip link set tun0 up';
  const run = 'exec env LD_PRELOAD="$1" "$2" --so_filename="$1" --so_flags="$3" "$4"';
  const child = spawn(
    'unshare',
    ['--net', 'sh', '-c', `${setUp} && ${run}`, 'sh', adapter, program, server, basename(script)],
    {
      cwd: dirname(join(folder, script)),
      env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: PATIENCE,
      killSignal: 'SIGKILL',
    },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { script, passed: code === 0, said: said.trim() };
}

/** Runs scripts, so many at a time, and hands each outcome on as it comes. */
export async function runScripts(
  scripts: readonly string[],
  together: number,
  take: (outcome: Outcome) => void,
): Promise<void> {
  const left = [...scripts];
  const work = async (): Promise<void> => {
    for (let script = left.shift(); script !== undefined; script = left.shift()) take(await runScript(script));
  };
  await Promise.all(Array.from({ length: together }, work));
}
