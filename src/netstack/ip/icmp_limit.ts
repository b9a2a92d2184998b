/**
 * How many ICMP errors leave: a bucket of tokens for all, and one for each address (RFC 1812 §4.3.2.8, RFC 4443 §2.4 f;
 * net/ipv4/icmp.c: icmp_global_allow, inet_peer_xrlim_allow).
 */
import { NETSTACK_ICMP } from '../../policy.js';

/** A bucket that holds `burst` tokens and gets one each `interval` milliseconds. */
class Bucket {
  #tokens: number;
  #filled: number;

  constructor(burst: number, now: number) {
    this.#tokens = burst;
    this.#filled = now;
  }

  take(interval: number, burst: number, now: number): boolean {
    this.#tokens = Math.min(burst, this.#tokens + (now - this.#filled) / interval);
    this.#filled = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

export class IcmpLimit {
  readonly #all: Bucket;
  /** By address; the first is the one that came first of those that are remembered. */
  readonly #peers = new Map<string, Bucket>();

  constructor(now: number) {
    this.#all = new Bucket(NETSTACK_ICMP.errorBurst, now);
  }

  /** Whether an error may leave for an address now. */
  take(address: string, isIpv6: boolean, now: number): boolean {
    const { peerInterval4, peerInterval6, peerBurst, errorsPerSecond, errorBurst, peers } = NETSTACK_ICMP;
    let peer = this.#peers.get(address);
    if (!peer) {
      if (this.#peers.size === peers) this.#peers.delete(this.#peers.keys().next().value!);
      peer = new Bucket(peerBurst, now);
      this.#peers.set(address, peer);
    }
    if (!peer.take(isIpv6 ? peerInterval6 : peerInterval4, peerBurst, now)) return false;
    return this.#all.take(1000 / errorsPerSecond, errorBurst, now);
  }
}
