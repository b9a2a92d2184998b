/** nftables rules of others, as `nft -j` tells them (libnftables-json(5)). Looks, and changes nothing. */
import { run } from '../command.js';

/** As far as it is read here. */
export interface Listing {
  readonly nftables: readonly ListingEntry[];
}

interface ListingEntry {
  readonly chain?: Chain;
  readonly rule?: Rule;
  readonly set?: NamedSet;
  readonly map?: NamedSet;
}

/** `type` and `hook` are a base chain's. */
export interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type?: string;
  readonly hook?: string;
}

export interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly comment?: string;
  readonly expr?: readonly Statement[];
}

/** One key: what a rule looks at, or does. */
export type Statement = Readonly<Record<string, unknown>>;

interface NamedSet {
  readonly name: string;
  readonly elem?: unknown;
}

/**
 * @param what of the ruleset: `chains`, or `table` and `chain` with their names
 * @throws {GuiseError} ERR_GUISE_PROGRAM_MISSING, ERR_GUISE_PROGRAM_FAILED
 */
export async function list(...what: readonly string[]): Promise<Listing> {
  return JSON.parse(await run('nft', ['-j', 'list', ...what])) as Listing;
}

/** Base chains that IP packets of a kind come through, in whichever family. */
export function baseChains({ nftables }: Listing, wanted: { readonly type: string; readonly hook: string }): Chain[] {
  return nftables
    .flatMap(({ chain }) => (chain ? [chain] : []))
    .filter(({ family, type, hook }) => IP_FAMILIES.includes(family) && type === wanted.type && hook === wanted.hook);
}

const IP_FAMILIES: readonly string[] = ['inet', 'ip', 'ip6'];

/** A chain's rules, from the first. */
export function rulesOf({ nftables }: Listing, { family, table, name }: Chain): Rule[] {
  return nftables
    .flatMap(({ rule }) => (rule ? [rule] : []))
    .filter((rule) => rule.family === family && rule.table === table && rule.chain === name);
}

/** As users and `nft` name it. */
export function nameOf({ family, table, name }: Chain): string {
  return `${family} ${table} ${name}`;
}
