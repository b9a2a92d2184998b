/** IP addresses as the data plane has them: 16 bytes, IPv4 in its mapped form ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';

export function encodeAddress(address: string): Uint8Array {
  const parsed = ipaddr.parse(address);
  const v6 = parsed.kind() === 'ipv4' ? (parsed as ipaddr.IPv4).toIPv4MappedAddress() : parsed;
  return Uint8Array.from(v6.toByteArray());
}

export function decodeAddress(bytes: Uint8Array): string {
  const v6 = new ipaddr.IPv6(Array.from(bytes));
  return (v6.isIPv4MappedAddress() ? v6.toIPv4Address() : v6).toString();
}

/** The one spelling of an address that is used here: the kernel's. */
export function normalAddress(address: string): string {
  return decodeAddress(encodeAddress(address));
}

/** Whether a segment may be meant by both of two addresses that are listened on, or that are listened on and come. */
export function overlap(one: string, other: string): boolean {
  const all = (address: string, of: string): boolean => address === '::' || (address === '0.0.0.0' && isIPv4(of));
  return one === other || all(one, other) || all(other, one);
}
