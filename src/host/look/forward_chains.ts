/**
 * Firewalls of others, and whether they let a tunnel's packets through. Looks, and changes nothing.
 *
 * A chain of ours cannot overrule a drop in somebody else's; rules in front of theirs do. Docker and ufw drop by the
 * policy of their chain; firewalld, and iptables as Red Hat and Oracle set it up, accept by policy and reject by their
 * last rule.
 */
import { run } from '../command.js';

/** What `nft -j list …` says, as far as it is read here (libnftables-json(5)). */
export interface Listing {
  readonly nftables: readonly ListingEntry[];
}

interface ListingEntry {
  readonly chain?: Chain;
  readonly rule?: Rule;
}

export interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type?: string;
  readonly hook?: string;
  readonly policy?: string;
}

interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly comment?: string;
  readonly expr?: readonly Statement[];
}

type Statement = Readonly<Record<string, unknown>>;

const DIRECTIONS = ['iifname', 'oifname'] as const;
export type Direction = (typeof DIRECTIONS)[number];

/** Statements that let a packet go on to the next one. */
const PASSED: readonly string[] = ['counter', 'log'];

/**
 * The chains that may stop what is forwarded, with their rules. Others may have a thousand rules: they are left out.
 *
 * @throws {GuiseError} ERR_GUISE_PROGRAM_MISSING, ERR_GUISE_PROGRAM_FAILED
 */
export async function readForwardChains(): Promise<Listing> {
  const list = async (...what: string[]): Promise<Listing> =>
    JSON.parse(await run('nft', ['-j', 'list', ...what])) as Listing;
  const found = forwardChains(await list('chains'));
  const listings: Listing[] = [];
  for (const { family, table, name } of found) listings.push(await list('chain', family, table, name));
  return { nftables: listings.flatMap(({ nftables }) => nftables) };
}

function forwardChains({ nftables }: Listing): Chain[] {
  return nftables
    .flatMap(({ chain }) => (chain ? [chain] : []))
    .filter(({ hook, type }) => hook === 'forward' && type === 'filter');
}

/** The forward chains that stop what no rule before lets through. */
export function closedForwardChains(listing: Listing): Chain[] {
  return forwardChains(listing).filter(
    (chain) => chain.policy === 'drop' || rulesOf(listing, chain).some(stopsEverything),
  );
}

/** What marks the rules of ours in the chains of others. */
export function markOf(tun: string): string {
  return `guise ${tun}`;
}

/** The directions in which a chain has no rule of ours for an interface. */
export function missingDirections(listing: Listing, chain: Chain, tun: string): Direction[] {
  const ours = rulesOf(listing, chain).filter(({ comment }) => comment === markOf(tun));
  return DIRECTIONS.filter(
    (direction) => !ours.some(({ expr }) => expr?.some((each) => isMatch(each, direction, tun))),
  );
}

function rulesOf({ nftables }: Listing, chain: Chain): Rule[] {
  return nftables
    .flatMap(({ rule }) => (rule ? [rule] : []))
    .filter(
      ({ family, table, chain: name }) => family === chain.family && table === chain.table && name === chain.name,
    );
}

/** Whether no packet comes past a rule. */
function stopsEverything({ expr = [] }: Rule): boolean {
  const verdict = expr.at(-1);
  const before = expr.slice(0, -1).flatMap((statement) => Object.keys(statement));
  return verdict !== undefined && isStop(verdict) && before.every((kind) => PASSED.includes(kind));
}

function isStop(statement: Statement): boolean {
  if ('drop' in statement || 'reject' in statement) return true;
  // A target of iptables-nft that nftables has no statement for: `-j REJECT`.
  const { type, name } = (statement['xt'] ?? {}) as { type?: string; name?: string };
  return type === 'target' && name === 'REJECT';
}

function isMatch({ match }: Statement, direction: Direction, tun: string): boolean {
  const { left, right } = (match ?? {}) as { left?: { meta?: { key?: string } }; right?: unknown };
  return left?.meta?.key === direction && right === tun;
}
