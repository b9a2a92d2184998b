/**
 * Rules of others that lead a TCP port of this host elsewhere, as Docker's do for a published port. Looks, and changes
 * nothing.
 *
 * The rules are followed from the NAT chains of what arrives, over jumps; a rule counts unless one of its conditions, or
 * of those on the way to it, speaks of another port, protocol or address. Where it comes from does not matter.
 */
import ipaddr from 'ipaddr.js';
import { baseChains, list, nameOf, rulesOf, type Chain, type Listing, type Statement } from './ruleset.js';

/** What is on its way to the server. */
export interface Arriving {
  readonly port: number;
  /** The addresses that it may come to. */
  readonly addresses: readonly string[];
}

/**
 * The chains with such rules.
 *
 * @param all what `nft -j list chains` says
 * @param isOwn whether a table is of a guise
 * @throws {GuiseError} ERR_GUISE_PROGRAM_MISSING, ERR_GUISE_PROGRAM_FAILED
 */
export async function readPortForwards(
  all: Listing,
  arriving: Arriving,
  isOwn: (table: string) => boolean,
): Promise<string[]> {
  const tables = new Map<string, Chain>();
  for (const chain of baseChains(all, { type: 'nat', hook: 'prerouting' })) {
    if (!isOwn(chain.table)) tables.set(`${chain.family} ${chain.table}`, chain);
  }
  const found: string[] = [];
  for (const { family, table } of tables.values()) {
    found.push(...portForwards(await list('table', family, table), arriving));
  }
  return found;
}

/** The same for one table. */
export function portForwards(table: Listing, arriving: Arriving): string[] {
  const found = new Set<string>();
  const seen = new Set<string>();
  const waiting = baseChains(table, { type: 'nat', hook: 'prerouting' });
  for (let chain = waiting.pop(); chain; chain = waiting.pop()) {
    if (seen.has(chain.name)) continue;
    seen.add(chain.name);
    for (const { expr = [] } of rulesOf(table, chain)) {
      const way = follow(expr, { table, arriving });
      if (way.leads) found.add(nameOf(chain));
      for (const name of way.jumps) waiting.push({ ...chain, name });
    }
  }
  return [...found];
}

interface Context {
  readonly table: Listing;
  readonly arriving: Arriving;
}

/** Whether a rule leads elsewhere what arrives, and to which chains it hands it on. */
function follow(statements: readonly Statement[], context: Context): { leads: boolean; jumps: string[] } {
  const way: { leads: boolean; jumps: string[] } = { leads: false, jumps: [] };
  for (const statement of statements) {
    const [[kind, value] = ['', undefined]] = Object.entries(statement);
    const { left, op, right, key, data, addr, port, target, name } = (value ?? {}) as Record<string, unknown>;
    if (kind === 'match' && !mayMatch({ left, op, right }, context)) break;
    if (kind === 'xt' && OPAQUE.includes(name as string)) break;
    if (kind === 'jump' || kind === 'goto') way.jumps.push(target as string);
    else if (kind === 'vmap') way.jumps.push(...mapped(key, data, context).flatMap(targetOf));
    else if (kind === 'xt' && LEADING_TARGETS.includes(name as string)) way.leads = true;
    else if (kind === 'redirect' || kind === 'dnat') {
      const maps = [addr, port].flatMap((each) => (isObject(each) && isObject(each['map']) ? [each['map']] : []));
      way.leads = maps.every((map) => mapped(map['key'], map['data'], context).length > 0);
    }
  }
  return way;
}

/** Targets of iptables, which nft names and no more; and matches that hide which ports and addresses they are about. */
const LEADING_TARGETS: readonly string[] = ['DNAT', 'REDIRECT'];
const OPAQUE: readonly string[] = ['multiport', 'set', 'iprange', 'mark', 'connmark'];

/** Whether a condition may hold for what arrives at one of the addresses. */
function mayMatch({ left, op, right }: Record<'left' | 'op' | 'right', unknown>, context: Context): boolean {
  return context.arriving.addresses.some((address) => {
    const holds = agrees(left, right, context, address);
    return holds === undefined || holds === (op !== '!=');
  });
}

/** What a map gives for it, as far as its key can be told. */
function mapped(key: unknown, data: unknown, context: Context): unknown[] {
  return elements(data, context).flatMap((element) => {
    if (!Array.isArray(element)) return [];
    const [of, result] = element as [unknown, unknown];
    return mayMatch({ left: key, op: '==', right: of }, context) ? [result] : [];
  });
}

function targetOf(verdict: unknown): string[] {
  const { jump, goto } = isObject(verdict) ? verdict : {};
  const hop = (jump ?? goto) as { target?: string } | undefined;
  return hop?.target === undefined ? [] : [hop.target];
}

/** Whether what arrives has a value, or one of a set; undefined where that cannot be told. */
function agrees(what: unknown, value: unknown, context: Context, address: string): boolean | undefined {
  if (!isObject(what)) return undefined;
  const parts = what['concat'];
  if (Array.isArray(parts)) {
    return some(elements(value, context), (each) => {
      const values = isObject(each) ? each['concat'] : undefined;
      if (!Array.isArray(values)) return undefined;
      return every(parts.map((part, i) => agrees(part, values[i], context, address)));
    });
  }
  const { protocol, field } = (what['payload'] ?? {}) as { protocol?: string; field?: string };
  const meta = (what['meta'] as { key?: string } | undefined)?.key;
  const { port } = context.arriving;
  if (meta === 'l4proto' || field === 'protocol' || field === 'nexthdr') {
    return some(elements(value, context), (each) => each === 'tcp' || each === TCP);
  }
  if (field === 'daddr') {
    return some(elements(value, context), (each) => isIn(address, each));
  }
  if (protocol === 'tcp' || protocol === 'th') {
    return field === 'dport' ? some(elements(value, context), (each) => isPort(port, each)) : undefined;
  }
  return protocol !== undefined && TRANSPORTS.includes(protocol) ? false : undefined;
}

const TCP = 6;
const TRANSPORTS: readonly string[] = ['udp', 'udplite', 'sctp', 'dccp', 'icmp', 'icmpv6', 'esp', 'ah'];

/** The values that a value stands for: of a set, a named one too. */
function elements(value: unknown, { table }: Context): unknown[] {
  if (typeof value === 'string' && value.startsWith('@')) {
    const sets = table.nftables.flatMap(({ set, map }) => set ?? map ?? []);
    return bare(sets.find(({ name }) => name === value.slice(1))?.elem);
  }
  return bare(isObject(value) && 'set' in value ? value['set'] : [value]);
}

/** Without counters, time-outs and comments of elements. */
function bare(set: unknown): unknown[] {
  return (Array.isArray(set) ? set : []).map((each: unknown) => {
    const { val } = (isObject(each) && isObject(each['elem']) ? each['elem'] : {}) as { val?: unknown };
    return val ?? each;
  });
}

function isPort(port: number, value: unknown): boolean {
  const [first, last] = rangeOf(value) ?? [value, value];
  return Number(first) <= port && port <= Number(last);
}

function isIn(address: string, value: unknown): boolean {
  const { prefix } = isObject(value) ? (value as { prefix?: { addr: string; len: number } }) : {};
  if (prefix) {
    const [ip, network] = [ipaddr.parse(address), ipaddr.parse(prefix.addr)];
    return ip.kind() === network.kind() && ip.match(network, prefix.len);
  }
  const [first, last] = (rangeOf(value) ?? [value, value]).map(hexadecimal);
  const wanted = hexadecimal(address);
  return first?.length === wanted.length && last !== undefined && first <= wanted && wanted <= last;
}

/** An address as digits that are in order; '' where it is none. */
function hexadecimal(address: unknown): string {
  const text = String(address);
  return ipaddr.isValid(text) ? Buffer.from(ipaddr.parse(text).toByteArray()).toString('hex') : '';
}

function rangeOf(value: unknown): [unknown, unknown] | undefined {
  return isObject(value) ? (value['range'] as [unknown, unknown] | undefined) : undefined;
}

/** Whether something holds for one of several, or undefined where it may. */
function some<T>(all: readonly T[], holds: (each: T) => boolean | undefined): boolean | undefined {
  const answers = all.map(holds);
  return answers.includes(true) ? true : answers.includes(undefined) ? undefined : false;
}

function every(answers: readonly (boolean | undefined)[]): boolean | undefined {
  return answers.includes(false) ? false : answers.includes(undefined) ? undefined : true;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
