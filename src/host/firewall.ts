/** The rules that a tunnel needs: a table of its own, and a way through the chains of others, who reload theirs. */
import { rulesetGeneration } from '../native/process.js';
import { run } from './command.js';
import { rules, tableName, type FirewallOptions } from './firewall_rules.js';
import { quote, type Janitor } from './janitor.js';
import type { Kept } from './keeper.js';
import { OwnedTable } from './owned_table.js';
import { HOST } from '../policy.js';

/** A rule that stops what comes to it: firewalld, and iptables as Red Hat and Oracle set it up, accept by policy. */
const LAST_RULE_STOPS = /^\s*(counter packets \d+ bytes \d+ )?(drop|reject( with .*)?)( comment ".*")?$/m;

export class Firewall implements Kept {
  readonly #options: FirewallOptions;
  readonly #janitor: Janitor;
  #table: OwnedTable | undefined;
  /** Chains of others that had rules for us. */
  readonly #opened = new Set<string>();
  #generation = -1;
  #lookedAt = 0;
  #spent = 0;

  /** @param janitor removes the rules in the chains of others */
  constructor(options: FirewallOptions, janitor: Janitor) {
    this.#options = options;
    this.#janitor = janitor;
  }

  async ensure(): Promise<string[]> {
    const done = this.#table?.held ? [] : [await this.#createTable()];
    const generation = rulesetGeneration();
    if (generation >= 0 && generation === this.#generation) return done;
    const now = performance.now();
    this.#spent = Math.max(0, this.#spent - (now - this.#lookedAt) * HOST.firewallShare);
    this.#lookedAt = now;
    if (this.#spent > HOST.firewallAhead) return done;
    for (const chain of await forwardChains()) {
      const present = await run('nft', ['list', 'chain', chain.family, chain.table, chain.name]);
      if (chain.policy === 'drop' || LAST_RULE_STOPS.test(present)) done.push(...(await this.#open(chain, present)));
    }
    this.#generation = generation;
    this.#spent += performance.now() - now;
    return done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#table?.[Symbol.asyncDispose]();
  }

  async #createTable(): Promise<string> {
    const { role, tun, peer4, port } = this.#options;
    const again = this.#table ? ' again: its nft had been ended' : '';
    this.#table = await OwnedTable.create(tableName(tun), rules(this.#options, 'owner'));
    const nat = role === 'client' ? `masquerade of ${peer4}` : `TCP port ${port} to ${peer4}`;
    return `firewall: ${nat}, in an nftables table that goes with this process${again}`;
  }

  /** A chain of ours cannot overrule a drop in somebody else's (Docker, ufw); rules in front of theirs do. */
  async #open({ family, table, name }: Chain, present: string): Promise<string[]> {
    const { tun } = this.#options;
    const mark = `comment "guise ${tun}"`;
    const chain = `${family} ${table} ${name}`;
    const missing = ['iifname', 'oifname']
      .map((direction) => `${direction} "${tun}" accept ${mark}`)
      .filter((rule) => !present.includes(rule));
    if (missing.length === 0) return [];
    const again = this.#opened.has(chain) ? ' again: the rules for it were gone' : '';
    if (!again) await this.#janitor.add(removal(chain, mark));
    this.#opened.add(chain);
    await run('nft', ['-f', '-'], missing.map((rule) => `insert rule ${chain} ${rule}\n`).join(''));
    return [`firewall: let ${tun} through ${chain}${again}`];
  }
}

interface Chain {
  family: string;
  table: string;
  name: string;
  type?: string;
  hook?: string;
  policy?: string;
}

/** The chains that may stop what is forwarded. */
async function forwardChains(): Promise<Chain[]> {
  const listing = JSON.parse(await run('nft', ['-j', 'list', 'chains'])) as { nftables: { chain?: Chain }[] };
  return listing.nftables
    .flatMap(({ chain }) => (chain ? [chain] : []))
    .filter(({ hook, type }) => hook === 'forward' && type === 'filter');
}

/** Removes the marked rules of a chain. By their mark: a table that is made anew gives the same handles again. */
function removal(chain: string, mark: string): string {
  const deletion = `s|.*# handle |delete rule ${chain} handle |`;
  return `nft -a list chain ${chain} | grep -F ${quote(mark)} | sed ${quote(deletion)} | nft -f -`;
}
