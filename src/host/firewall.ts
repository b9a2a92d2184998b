/**
 * The rules that a tunnel needs: a table of its own, which the kernel removes with its owner, and a way through the
 * chains of others, which the undo list removes. Others reload theirs: then the way is made again.
 */
import { rulesetGeneration } from '../native/process.js';
import { HOST } from '../policy.js';
import { run } from './command.js';
import { rules, tableName, type FirewallOptions } from './firewall_rules.js';
import {
  closedForwardChains,
  markOf,
  missingDirections,
  readForwardChains,
  type Chain,
  type Direction,
} from './look/forward_chains.js';
import { OwnedTable } from './owned_table.js';
import { TimeShare } from './time_share.js';
import { quote, type UndoList } from './undo_list.js';
import type { HostPart } from './upkeep.js';

export class Firewall implements HostPart {
  readonly #options: FirewallOptions;
  readonly #undoList: UndoList;
  readonly #looking = new TimeShare(HOST.firewallShare, HOST.firewallAhead);
  #table: OwnedTable | undefined;
  /** Chains of others that had rules for us. */
  readonly #opened = new Set<string>();
  #generation = -1;

  /** @param undoList removes the rules in the chains of others */
  constructor(options: FirewallOptions, undoList: UndoList) {
    this.#options = options;
    this.#undoList = undoList;
  }

  async ensure(): Promise<string[]> {
    const done = this.#table?.held ? [] : [await this.#createTable()];
    const generation = rulesetGeneration();
    if (generation >= 0 && generation === this.#generation) return done;
    const begin = performance.now();
    if (!this.#looking.isLeft(begin)) return done;
    const listing = await readForwardChains();
    for (const chain of closedForwardChains(listing)) {
      done.push(...(await this.#open(chain, missingDirections(listing, chain, this.#options.tun))));
    }
    this.#generation = generation;
    this.#looking.spend(performance.now() - begin);
    return done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#table?.[Symbol.asyncDispose]();
  }

  async #createTable(): Promise<string> {
    const { role, tun, peer4, listening } = this.#options;
    const again = this.#table ? ' again: its nft had been ended' : '';
    this.#table = await OwnedTable.create(tableName(tun), rules(this.#options, 'owner'));
    const nat = role === 'client' ? `masquerade of ${peer4}` : `TCP port ${listening!.port} to ${peer4}`;
    return `firewall: ${nat}, in an nftables table that goes with this process${again}`;
  }

  /** Puts the rules that a chain of somebody else's misses in front of its own. */
  async #open({ family, table, name }: Chain, missing: readonly Direction[]): Promise<string[]> {
    if (missing.length === 0) return [];
    const { tun } = this.#options;
    const mark = `comment "${markOf(tun)}"`;
    const chain = `${family} ${table} ${name}`;
    const again = this.#opened.has(chain) ? ' again: the rules for it were gone' : '';
    if (!again) await this.#undoList.add(removal(chain, mark));
    this.#opened.add(chain);
    const insertions = missing.map((direction) => `insert rule ${chain} ${direction} "${tun}" accept ${mark}\n`);
    await run('nft', ['-f', '-'], insertions.join(''));
    return [`firewall: let ${tun} through ${chain}${again}`];
  }
}

/** Removes the marked rules of a chain. By their mark: a table that is made anew gives the same handles again. */
function removal(chain: string, mark: string): string {
  const deletion = `s|.*# handle |delete rule ${chain} handle |`;
  return `nft -a list chain ${chain} | grep -F ${quote(mark)} | sed ${quote(deletion)} | nft -f -`;
}
