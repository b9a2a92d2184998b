/**
 * An nftables table that belongs to a child `nft -i`: the kernel drops a table flagged `owner` when its owner's socket
 * closes, and the child ends when its standard input does, however this process ends. Nobody else can change the table:
 * `nft flush ruleset` passes it by, `nft delete table` is refused (net/netfilter/nf_tables_api.c).
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { GuiseError } from '../errors.js';
import { hasEnded, startChild, unref } from './child.js';

/** Where `nft -i` finds no ~/.nft.history, and leaves none. */
const NO_HOME = '/nonexistent';

export class OwnedTable implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
  }

  /**
   * @param name of the table, of family inet
   * @param text the table as `nft -f` takes it
   * @throws {GuiseError} ERR_GUISE_SETUP with what nft said
   */
  static async create(name: string, text: string): Promise<OwnedTable> {
    const child = await startChild('nft', ['-i'], { detached: true, env: { ...process.env, HOME: NO_HOME } });
    const table = new OwnedTable(child);
    const complaint = await addTable(child, name, text);
    if (complaint !== undefined) {
      await table[Symbol.asyncDispose]();
      const mend = 'run as root or with CAP_NET_ADMIN, or use --no-firewall';
      throw new GuiseError('ERR_GUISE_SETUP', `nft refused the rules (${complaint}): ${mend}.`);
    }
    unref(child);
    return table;
  }

  /** Whether the child lives, and the table with it. */
  get held(): boolean {
    return !hasEnded(this.#child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.held) return;
    const ended = once(this.#child, 'exit');
    this.#child.ref();
    this.#child.stdin.end();
    await ended;
  }
}

/** What nft complains of, or undefined. */
async function addTable(child: ChildProcessWithoutNullStreams, name: string, text: string): Promise<string | undefined> {
  let output = '';
  let complaint = '';
  // One line, since nft -i takes a command a line; a listing behind it shows when it is done.
  const line = text.replaceAll(/(?<=[{;])\n\s*/g, ' ').replaceAll(/\n\s*/g, '; ');
  child.stdin.write(`add ${line}\nlist tables inet\n`);
  const added = await new Promise<boolean>((resolve) => {
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      if (new RegExp(`table inet ${name}\\n`).test(output)) resolve(true);
    });
    child.stderr.on('data', (data: Buffer) => {
      complaint += data.toString();
      resolve(false);
    });
    child.once('exit', () => resolve(false));
  });
  if (added) return undefined;
  const lines = complaint.split('\n');
  return (lines.find((each) => each.includes('rror')) ?? lines[0]!).trim();
}
