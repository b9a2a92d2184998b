/**
 * A stack on a TUN in a namespace of its own, with the kernel's TCP as its peer: both addresses of 10.0.0.0/24 and fd00::/64
 * that are not the kernel's are the stack's. The stack runs in the test's process; what the kernel is to do is a function
 * that runs in a child there.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Netstack, type NetstackOptions } from '../../src/netstack/index.js';
import { run } from '../net/process.js';

export const KERNEL4 = '10.0.0.1';
export const KERNEL6 = 'fd00::1';
export const STACK4 = '10.0.0.2';
export const STACK6 = 'fd00::2';

let created = 0;

/** What a function of the kernel's side is given. Nothing else of its surroundings goes with it. */
export interface Kernel {
  readonly net: typeof import('node:net');
  readonly bytes: typeof import('./bytes.js');
  readonly require: NodeJS.Require;
  /** Tells the test something before the function's end: `KernelTask.said`. */
  readonly say: (what: unknown) => void;
}

export interface KernelTask<T> extends Promise<T> {
  /** What it says next. */
  said(): Promise<unknown>;
}

interface Message {
  readonly id: number;
  readonly said?: unknown;
  readonly result?: unknown;
  readonly error?: string;
}

export class TunRig implements AsyncDisposable {
  readonly stack: Netstack;
  readonly namespace: string;
  readonly tun: string;
  readonly #child: ChildProcess;
  readonly #handlers = new Map<number, (message: Message) => void>();
  #tasks = 0;

  private constructor(stack: Netstack, namespace: string, tun: string, child: ChildProcess) {
    this.stack = stack;
    this.namespace = namespace;
    this.tun = tun;
    this.#child = child;
    child.on('message', (message: Message) => this.#handlers.get(message.id)?.(message));
  }

  static async open({ mtu, ...options }: NetstackOptions = {}): Promise<TunRig> {
    const id = `${process.pid}-${++created}`;
    const namespace = `guise-rig-${id}-n`;
    const tun = `gn${id}`;
    const stack = await Netstack.open({ device: { name: tun }, addresses: [STACK4, STACK6], ...options });
    const at = (...args: string[]): Promise<string> => run('ip', ['-n', namespace, ...args]);
    await run('ip', ['netns', 'add', namespace]);
    await run('ip', ['link', 'set', tun, 'netns', namespace]);
    if (mtu !== undefined) await at('link', 'set', tun, 'mtu', `${mtu}`);
    await at('address', 'add', `${KERNEL4}/24`, 'dev', tun);
    await at('address', 'add', `${KERNEL6}/64`, 'dev', tun, 'nodad');
    await at('link', 'set', 'lo', 'up');
    await at('link', 'set', tun, 'up');
    const child = spawn(
      'ip',
      ['netns', 'exec', namespace, process.execPath, fileURLToPath(import.meta.url), 'kernel'],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    );
    return new TunRig(stack, namespace, tun, child);
  }

  /** Runs a function on the kernel's side. */
  kernel<A extends readonly unknown[], T>(work: (kernel: Kernel, ...args: A) => Promise<T>, ...args: A): KernelTask<T> {
    const id = ++this.#tasks;
    const said: unknown[] = [];
    let wake: (() => void) | undefined;
    const done = new Promise<T>((resolve, reject) => {
      this.#child.once('exit', () => reject(new Error('the kernel side has ended')));
      this.#handlers.set(id, (message) => {
        if ('said' in message) {
          said.push(message.said);
          wake?.();
        } else if (message.error !== undefined) reject(new Error(message.error));
        else resolve(message.result as T);
      });
    });
    this.#child.send({ id, work: work.toString(), args });
    return Object.assign(done, {
      said: async (): Promise<unknown> => {
        while (said.length === 0) await Promise.race([new Promise<void>((resolve) => (wake = resolve)), done]);
        return said.shift();
      },
    });
  }

  /** Runs a program in the namespace. */
  run(command: string, args: readonly string[]): Promise<string> {
    return run('ip', ['netns', 'exec', this.namespace, command, ...args]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, 'exit');
    await this.stack.close();
    await run('ip', ['netns', 'delete', this.namespace]);
  }
}

/** The child's side. */
async function serve(): Promise<void> {
  const net = await import('node:net');
  const bytes = await import('./bytes.js');
  const require = createRequire(import.meta.url);
  process.on('message', ({ id, work, args }: { id: number; work: string; args: readonly unknown[] }) => {
    const say = (what: unknown): void => void process.send!({ id, said: what });
    // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call -- what the test sent
    const body = new Function(`return (${work})`)() as (kernel: Kernel, ...rest: unknown[]) => Promise<unknown>;
    body({ net, bytes, require, say }, ...args).then(
      (result) => process.send!({ id, result: result ?? null }),
      (error: unknown) => process.send!({ id, error: (error as Error).stack ?? String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
}

if (process.argv[2] === 'kernel') await serve();
