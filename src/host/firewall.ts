/**
 * The rules that a tunnel needs: a table of its own, which the kernel removes with its owner, and a way through the
 * chains of others, which the undo list removes. Others reload theirs: then the way is made again. What cannot be made
 * is told, once.
 */
import { networkInterfaces } from 'node:os';
import { guiseError, type GuiseError } from '../errors.js';
import { rulesetGeneration } from '../native/process.js';
import { HOST } from '../policy.js';
import { run } from './command.js';
import { isTableOfGuise, rules, tableName, type FirewallOptions } from './firewall_rules.js';
import { DIRECTIONS, isOpen, markOf, ownRules, readForwardChains } from './look/forward_chains.js';
import { readLegacyTables } from './look/legacy_tables.js';
import { readPortForwards } from './look/port_forwards.js';
import { list, nameOf, type Chain, type Listing, type Rule } from './look/ruleset.js';
import { OwnedTable } from './owned_table.js';
import { TimeShare } from './time_share.js';
import { quote, type UndoList } from './undo_list.js';
import type { HostPart } from './upkeep.js';

export class Firewall implements HostPart {
  readonly #options: FirewallOptions;
  readonly #undoList: UndoList;
  readonly #warn: (sentence: string) => void;
  readonly #looking = new TimeShare(HOST.firewallShare, HOST.firewallAhead);
  #table: OwnedTable | undefined;
  /** Chains of others that had rules for us. */
  readonly #opened = new Set<string>();
  /** Chains whose rules for us the undo list removes. */
  readonly #undone = new Set<string>();
  readonly #told = new Set<string>();
  #generation = -1;

  /**
   * @param undoList removes the rules in the chains of others
   * @param warn is told what stands in the way and cannot be mended from here
   */
  constructor(options: FirewallOptions, undoList: UndoList, warn: (sentence: string) => void) {
    this.#options = options;
    this.#undoList = undoList;
    this.#warn = warn;
  }

  async ensure(): Promise<string[]> {
    const done = this.#table?.held ? [] : [await this.#createTable()];
    await this.#tellLegacyTables();
    const generation = rulesetGeneration();
    if (generation >= 0 && generation === this.#generation) return done;
    const begin = performance.now();
    if (!this.#looking.isLeft(begin)) return done;
    const all = await list('chains');
    for (const { chain, rules } of await readForwardChains(all)) done.push(...(await this.#open(chain, rules)));
    await this.#tellPortForwards(all);
    this.#generation = generation;
    this.#looking.spend(performance.now() - begin);
    return done;
  }

  /** Connections that the client's NAT has seen the first segment of; undefined where that cannot be read. */
  async countConnections(): Promise<number | undefined> {
    const chain = ['inet', tableName(this.#options.tun), 'postrouting'];
    const listing = await run('nft', ['list', 'chain', ...chain]).catch(() => '');
    const counts = Array.from(listing.matchAll(/counter packets (\d+)/g), ([, count]) => Number(count));
    return counts.length === 0 ? undefined : counts.reduce((sum, each) => sum + each);
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

  /** Puts rules for us in front of those of a chain of somebody else's, unless they are there. */
  async #open({ family, table, name }: Chain, found: readonly Rule[]): Promise<string[]> {
    const { tun } = this.#options;
    if (isOpen(found, tun)) return [];
    const mark = `comment "${markOf(tun)}"`;
    const chain = nameOf({ family, table, name });
    const behind = ownRules(found, tun);
    const why = behind.length > 0 ? 'other rules had come before those for it' : 'the rules for it were gone';
    const again = this.#opened.has(chain) ? ` again: ${why}` : '';
    if (!this.#undone.has(chain)) await this.#undoList.add(removal(chain, mark));
    this.#undone.add(chain);
    const changes = [
      ...behind.map(({ handle }) => `delete rule ${chain} handle ${handle}`),
      ...DIRECTIONS.map((direction) => `insert rule ${chain} ${direction} "${tun}" accept ${mark}`),
    ];
    const generation = rulesetGeneration();
    try {
      await run('nft', ['-f', '-'], `${changes.join('\n')}\n`);
    } catch (error) {
      if ((error as GuiseError).code !== 'ERR_GUISE_PROGRAM_FAILED') throw error;
      if (rulesetGeneration() !== generation) return []; // somebody was faster, and there is a next look
      this.#tell('ERR_GUISE_FIREWALL_CHAIN', { chain, tun, why: (error as Error).message.replace(/\.$/, '') });
      return [];
    }
    this.#opened.add(chain);
    return [`firewall: let ${tun} through ${chain}${again}`];
  }

  async #tellPortForwards(all: Listing): Promise<void> {
    const { listening } = this.#options;
    if (!listening) return;
    const { address, port } = listening;
    const isAll = address === '::' || address === '0.0.0.0';
    const addresses = isAll ? Object.values(networkInterfaces()).flatMap((each) => each ?? []) : [{ address }];
    const arriving = { port, addresses: addresses.map((each) => each.address) };
    for (const chain of await readPortForwards(all, arriving, isTableOfGuise)) {
      this.#tell('ERR_GUISE_PORT_FORWARDED', { chain, port });
    }
  }

  async #tellLegacyTables(): Promise<void> {
    const { tun, listening } = this.#options;
    for (const { program, table, may } of await readLegacyTables()) {
      if (may === 'stop') this.#tell('ERR_GUISE_LEGACY_TABLE', { program, table, tun });
      else if (listening) this.#tell('ERR_GUISE_LEGACY_NAT', { program, table, port: listening.port });
    }
  }

  #tell(...what: Parameters<typeof guiseError>): void {
    const { message } = guiseError(...what);
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#warn(message);
  }
}

/** Removes the marked rules of a chain. By their mark: a table that is made anew gives the same handles again. */
function removal(chain: string, mark: string): string {
  const deletion = `s|.*# handle |delete rule ${chain} handle |`;
  return `nft -a list chain ${chain} | grep -F ${quote(mark)} | sed ${quote(deletion)} | nft -f -`;
}
