/** The protocols beside TCP on a port in memory, with a clock that the test turns. */
import { IN, KIND, openPort, READ_ROOM, ROW, type PacketPort } from '../../../src/native/packet_port.js';
import type { Environment } from '../../../src/netstack/ip/environment.js';
import type { IcmpErrorKind } from '../../../src/netstack/ip/icmp.js';
import { IpLayer, type IpOptions } from '../../../src/netstack/ip/ip_layer.js';

export interface TcpError {
  readonly tuple: Uint8Array;
  readonly seq: number;
  readonly kind: IcmpErrorKind;
  readonly mtu: number;
}

export interface RigOptions extends IpOptions {
  readonly mtu?: number;
  /** By family. */
  readonly localAddresses?: readonly [string, string] | undefined;
}

export class Rig implements Disposable {
  readonly port: PacketPort;
  readonly ip: IpLayer;
  /** Milliseconds. */
  now = 1_000_000;
  /** How often `deadline` may have become earlier. */
  changes = 0;
  /** How much keeps the process alive. */
  holds = 0;
  readonly tcpErrors: TcpError[] = [];
  /** Rows of TCP that came. */
  tcpRows = 0;
  readonly #slab = Buffer.alloc(16 * READ_ROOM);

  constructor({ mtu = 1500, localAddresses, ...options }: RigOptions = {}) {
    this.port = openPort({ memory: true, mtu });
    const environment: Environment = {
      port: this.port,
      now: () => this.now,
      localAddress: (remote) => localAddresses?.[remote.includes(':') ? 1 : 0],
      hold: () => this.holds++,
      release: () => this.holds--,
      changed: () => this.changes++,
      tcpError: (tuple, seq, kind, mtu) => this.tcpErrors.push({ tuple, seq, kind, mtu }),
    };
    this.ip = new IpLayer(environment, options);
  }

  /** Gives packets to the stack, in one batch; what it has written meanwhile and before. */
  feed(...packets: readonly Uint8Array[]): Buffer[] {
    for (const packet of packets) this.port.feed(packet);
    for (;;) {
      const rows = this.port.read(this.#slab, 0);
      if (rows <= 0) return this.written();
      for (let row = 0; row < rows; row++) {
        if (this.port.incoming[row * ROW + IN.kind] === KIND.tcp) this.tcpRows++;
        else this.ip.arrive(row, this.port.incoming, this.#slab);
      }
    }
  }

  /** What the stack has written since the last call. */
  written(): Buffer[] {
    const packets: Buffer[] = [];
    for (let packet = this.port.take(); packet; packet = this.port.take()) packets.push(Buffer.from(packet));
    return packets;
  }

  /** Turns the clock, and has done what is due. */
  pass(milliseconds: number): void {
    this.now += milliseconds;
    if (this.ip.deadline <= this.now) this.ip.tick(this.now);
  }

  [Symbol.dispose](): void {
    this.ip.close();
    this.port.close();
  }
}
