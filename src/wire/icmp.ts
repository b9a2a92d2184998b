/** The codes of ICMP errors in words. */

/** RFC 792, RFC 1812 §5.2.7.1. */
const IPV4: Readonly<Record<number, string>> = {
  0: 'that it has no route to this network',
  1: 'that this host does not answer',
  2: 'that this host knows no TCP',
  3: 'that this port is closed',
  9: 'that this network is forbidden',
  10: 'that this host is forbidden',
  13: 'that this is forbidden',
};

/** RFC 4443 §3.1. */
const IPV6: Readonly<Record<number, string>> = {
  0: 'that it has no route to this network',
  1: 'that this is forbidden',
  3: 'that this host does not answer',
  4: 'that this port is closed',
  5: 'that the source address is not allowed',
  6: 'that this route is refused',
};

/** What somebody says who answers "destination unreachable" with this code. */
export function unreachableBecause(family: 4 | 6, code: number): string {
  return (family === 4 ? IPV4 : IPV6)[code] ?? `that it cannot be reached (ICMP code ${code})`;
}
