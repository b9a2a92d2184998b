/**
 * Where a tunnel's packets have to come through firewalls of others: their chains of what is forwarded. Looks, and
 * changes nothing.
 *
 * A chain of ours cannot overrule a drop in somebody else's; rules in front of theirs do, each in its own chain. What
 * comes behind them does not matter then, so nobody has to guess which of them stop something.
 */
import { baseChains, list, rulesOf, type Chain, type Listing, type Rule, type Statement } from './ruleset.js';

/** What a rule of ours goes by: one for each direction. */
export const DIRECTIONS = ['iifname', 'oifname'] as const;

/** What marks rules of guise in the chains of others; a tunnel's own go on with its interface. */
const MARK = 'guise ';

export function markOf(tun: string): string {
  return `${MARK}${tun}`;
}

/**
 * The chains that stand in the way, with their rules. Others may have a thousand rules: they are left out.
 *
 * @param all what `nft -j list chains` says
 * @throws {GuiseError} ERR_GUISE_PROGRAM_MISSING, ERR_GUISE_PROGRAM_FAILED
 */
export async function readForwardChains(all: Listing): Promise<{ chain: Chain; rules: Rule[] }[]> {
  const chains = [];
  for (const chain of baseChains(all, { type: 'filter', hook: 'forward' })) {
    chains.push({ chain, rules: rulesOf(await list('chain', chain.family, chain.table, chain.name), chain) });
  }
  return chains;
}

/** Whether each direction of an interface is let through before the first rule that is not of a guise. */
export function isOpen(rules: readonly Rule[], tun: string): boolean {
  const other = rules.findIndex(({ comment }) => !comment?.startsWith(MARK));
  const ours = ownRules(other < 0 ? rules : rules.slice(0, other), tun);
  return DIRECTIONS.every((direction) => ours.some(({ expr }) => expr?.some((each) => isMatch(each, direction, tun))));
}

/** The rules of a chain that let an interface through. */
export function ownRules(rules: readonly Rule[], tun: string): Rule[] {
  return rules.filter(({ comment }) => comment === markOf(tun));
}

function isMatch({ match }: Statement, direction: string, tun: string): boolean {
  const { left, right } = (match ?? {}) as { left?: { meta?: { key?: string } }; right?: unknown };
  return left?.meta?.key === direction && right === tun;
}
