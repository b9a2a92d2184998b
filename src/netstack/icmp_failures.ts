import { codeOf, type IcmpErrorKind } from './ip/icmp.js';
import type { Failure } from './tcp/application.js';

/** How a connection that is being opened fails by an ICMP error; undefined: it does not. */
export function failureOf(kind: IcmpErrorKind): Failure | undefined {
  const code = codeOf(kind);
  return code === 'EMSGSIZE' ? undefined : code;
}
