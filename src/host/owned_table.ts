/**
 * An nftables table that belongs to a child `nft -i`: the kernel drops a table flagged `owner` when its owner's socket
 * closes, and the child ends when its standard input does, however this process ends. Nobody else can change the table:
 * `nft flush ruleset` passes it by, `nft delete table` is refused (net/netfilter/nf_tables_api.c).
 */
import { release } from 'node:os';
import { guiseError, programUnfit } from '../errors.js';
import { finish, isRunning, start, unref, type Started } from './command.js';

/** Where `nft -i` finds no ~/.nft.history, and leaves none. */
const NO_HOME = '/nonexistent';

export class OwnedTable implements AsyncDisposable {
  readonly #child: Started;

  private constructor(child: Started) {
    this.#child = child;
  }

  /**
   * @param name of the table, of family inet
   * @param text the table as `nft -f` takes it
   * @throws {GuiseError} ERR_GUISE_FIREWALL with what nft said
   */
  static async create(name: string, text: string): Promise<OwnedTable> {
    const child = await start('nft', ['-i'], { detached: true, env: { ...process.env, HOME: NO_HOME } });
    const complaint = await addTable(child, name, text);
    if (complaint !== undefined) {
      await finish(child);
      throw knowsNoOwner(complaint)
        ? programUnfit('nft', TOO_OLD)
        : guiseError('ERR_GUISE_FIREWALL', { said: complaint });
    }
    unref(child);
    return new OwnedTable(child);
  }

  /** Whether the child lives, and the table with it. */
  get held(): boolean {
    return isRunning(this.#child);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return finish(this.#child);
  }
}

const TOO_OLD = 'or the kernel is too old for tables that go with their owner: nftables 0.9.9 and Linux 5.12 have them';

/** nft before 0.9.9 does not know the word, and a kernel before 5.12 refuses the flag like much else. */
function knowsNoOwner(complaint: string): boolean {
  const [major, minor] = release().split('.').map(Number) as [number, number];
  return complaint.includes('unknown table option') || major < 5 || (major === 5 && minor < 12);
}

/** What nft complains of, or undefined. */
async function addTable(child: Started, name: string, text: string): Promise<string | undefined> {
  let output = '';
  let complaint = '';
  // One line, since nft -i takes a command a line; a listing behind it shows when it is done.
  const line = text.replaceAll(/(?<=[{;])\n\s*/g, ' ').replaceAll(/\n\s*/g, '; ');
  child.stdin.write(`add ${line}\nlist tables inet\n`);
  const done = await new Promise<boolean>((resolve) => {
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      if (new RegExp(`table inet ${name}\\n`).test(output)) resolve(true);
    });
    child.stderr.on('data', (data: Buffer) => {
      complaint += data.toString();
      child.stdin.end(); // what it complains of may come in parts: it is whole when nft has ended
    });
    child.once('close', () => resolve(false));
  });
  if (done) return undefined;
  const lines = complaint.split('\n');
  return (lines.find((each) => each.includes('rror')) ?? lines[0]!).trim();
}
