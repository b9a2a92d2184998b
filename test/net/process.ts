/** Programs in a namespace: run to their end, or kept running and stopped. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface RunOptions {
  readonly input?: string;
  readonly env?: Record<string, string>;
  readonly signal?: AbortSignal;
  /** Called with each line of its standard output. */
  readonly onLine?: (line: string) => void;
}

/** Runs a program; its standard output. Rejects with what it said when it fails. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const program = start(command, args, options);
  const code = await program.exited;
  if (code !== 0) throw new Error(`\`${command} ${args.join(' ')}\` ended with ${code}: ${program.output.trim()}`);
  return program.stdout;
}

/** A running program; everything it writes is kept. */
export class RunningProgram implements AsyncDisposable {
  /** The exit code, or the name of the signal that ended it. */
  readonly exited: Promise<number | string>;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #name: string;
  #stdout = '';

  readonly #onLine: ((line: string) => void) | undefined;

  constructor(child: ChildProcess, name: string, onLine?: (line: string) => void) {
    this.#onLine = onLine;
    this.#child = child;
    this.#name = name;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#take(line, stream === child.stdout));
    }
    this.exited = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
    void this.exited.finally(() => this.#watchers.forEach((check) => check()));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get stdout(): string {
    return this.#stdout;
  }

  /** Standard output and error. */
  get output(): string {
    return this.#lines.join('\n');
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /**
   * Resolves with the first line that matches, past or to come, or with the one after `skip` of them; rejects when the
   * program ends or 30 s pass.
   */
  waitFor(pattern: RegExp, skip = 0): Promise<string> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(check);
      };
      const check = (): void => {
        const line = this.#lines.filter((each) => pattern.test(each))[skip];
        if (line === undefined && this.running) return;
        end();
        if (line !== undefined) resolve(line);
        else reject(new Error(`${this.#name} ended before it said ${pattern}:\n${this.output}`));
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`${this.#name} did not say ${pattern} within 30 s:\n${this.output}`));
      }, 30_000);
      this.#watchers.add(check);
      check();
    });
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    if (this.running) this.#child.kill(signal);
    return this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
  }

  #take(line: string, isOutput: boolean): void {
    this.#lines.push(line);
    if (isOutput) {
      this.#stdout += `${line}\n`;
      this.#onLine?.(line);
    }
    for (const check of this.#watchers) check();
  }
}

export function start(
  command: string,
  args: readonly string[],
  { input, env, signal, onLine }: RunOptions = {},
): RunningProgram {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...(signal ? { signal } : {}),
  });
  child.stdin.on('error', () => {}); // a program that ends early tells why itself
  child.stdin.end(input ?? '');
  child.on('error', () => {}); // shows as exit code -2 and in waitFor
  return new RunningProgram(child, command, onLine);
}
