/**
 * An nftables table that belongs to a child `nft -i`: the kernel drops a table flagged `owner` when its owner's socket
 * closes, and the child ends when its standard input does, however this process ends. Nobody else can change the table:
 * `nft flush ruleset` passes it by, `nft delete table` is refused (net/netfilter/nf_tables_api.c).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { GuiseError } from '../errors.js';

/** Where `nft -i` finds no ~/.nft.history, and leaves none. */
const NO_HOME = '/nonexistent';

export class OwnedTable implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /**
   * @param name of the table, of family inet
   * @param text the table as `nft -f` takes it
   * @throws {GuiseError} ERR_GUISE_SETUP with what nft said
   */
  static async create(name: string, text: string): Promise<OwnedTable> {
    const child = spawn('nft', ['-i'], {
      stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: { ...process.env, HOME: NO_HOME },
    });
    const table = new OwnedTable(child);
    const complaint = await addTable(child, name, text);
    if (complaint !== undefined) {
      await table[Symbol.asyncDispose]();
      const mend = 'run as root or with CAP_NET_ADMIN, or use --no-firewall';
      throw new GuiseError('ERR_GUISE_SETUP', `nft refused the rules (${complaint}): ${mend}.`);
    }
    child.unref();
    for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as { unref(): void }).unref();
    return table;
  }

  /** Whether the child lives, and the table with it. */
  get held(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.held) return;
    const ended = once(this.#child, 'exit');
    this.#child.ref();
    this.#child.stdin!.end();
    await ended;
  }
}

/** What nft complains of, or undefined. */
async function addTable(child: ChildProcess, name: string, text: string): Promise<string | undefined> {
  let output = '';
  let complaint = '';
  child.stdin!.on('error', () => {}); // its exit tells why
  // One line, since nft -i takes a command a line; a listing behind it shows when it is done.
  const line = text.replaceAll(/(?<=[{;])\n\s*/g, ' ').replaceAll(/\n\s*/g, '; ');
  child.stdin!.write(`add ${line}\nlist tables inet\n`);
  const done = new Promise<boolean>((resolve, reject) => {
    child.stdout!.on('data', (data: Buffer) => {
      output += data.toString();
      if (new RegExp(`table inet ${name}\\n`).test(output)) resolve(true);
    });
    child.stderr!.on('data', (data: Buffer) => {
      complaint += data.toString();
      resolve(false);
    });
    child.once('exit', () => resolve(false));
    child.once('error', reject);
  });
  try {
    if (await done) return undefined;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const mend = missing ? 'install nftables, or use --no-firewall and set the rules by other means' : String(error);
    throw new GuiseError('ERR_GUISE_SETUP', `The firewall cannot be set up: ${mend}.`, { cause: error });
  }
  const lines = complaint.split('\n');
  return (lines.find((each) => each.includes('rror')) ?? lines[0]!).trim();
}
