/** What the protocols beside TCP need of whoever owns the packet port. */
import type { PacketPort } from '../../native/packet_port.js';
import type { IcmpErrorKind } from './icmp.js';

export interface Environment {
  readonly port: Pick<PacketPort, 'writeUdp' | 'writeUdpFlow' | 'writePacket' | 'attachRow' | 'detach'>;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** The address that packets to `remote` leave from where the user named none; undefined: there is none. */
  localAddress(remote: string): string | undefined;
  /** The process stays alive until `release` was called as often. */
  hold(): void;
  release(): void;
  /** `deadline` may be earlier than it was. */
  changed(): void;
  /**
   * An ICMP error quotes a TCP segment that has left from the local end of `tuple` (36 bytes, to keep) to its remote end.
   *
   * @param mtu bytes of the largest packet that passes, with `tooBig`; else 0
   */
  tcpError(tuple: Uint8Array, seq: number, kind: IcmpErrorKind, mtu: number): void;
}
