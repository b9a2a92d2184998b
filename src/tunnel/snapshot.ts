/** What a tunnel does, as plain data: for status, metrics and tests. */
import type { Socket } from '../fake_tcp/socket.js';
import type { EngineCounters, FlowCounters } from '../native/types.js';
import type { Profile } from '../wire/profile.js';

/**
 * `settingUpAgain`: the interface is gone, and is made again. `failed`: it could not be set up, or not again; `error`
 * says why.
 */
export type TunnelState = 'new' | 'starting' | 'running' | 'settingUpAgain' | 'stopping' | 'stopped' | 'failed';

/** `open`: it carries datagrams. `connecting`, `waiting`: an application is there, and a connection is not, yet or again. */
export type ConnectionState = 'open' | 'connecting' | 'waiting';

export interface ConnectionSnapshot {
  readonly state: ConnectionState;
  /** Milliseconds since the connection was opened; of an application without one, since it had none. */
  readonly age: number;
  /** A client's: who sends the datagrams, ADDRESS:PORT. */
  readonly application?: string;
  /** The ends of the connection, ADDRESS:PORT; those of an application without a connection are left out. */
  readonly local?: string;
  readonly remote?: string;
  readonly profile?: Profile;
  readonly counters?: FlowCounters;
}

export interface TunnelSnapshot {
  readonly role: 'client' | 'server';
  readonly name: string;
  readonly state: TunnelState;
  /** When it came into this state: milliseconds since 1970. */
  readonly since: number;
  /** Why it failed, in one sentence. */
  readonly error?: string;
  /** What it listens on: ADDRESS:PORT of UDP, or a TCP port. */
  readonly local: string;
  /** What was asked for, HOST:PORT. */
  readonly remote: string;
  /** ADDRESS:PORT, as last resolved, best first. */
  readonly remoteAddresses: readonly string[];
  /** While it runs: the name of its interface. */
  readonly interface?: string;
  readonly workers?: number;
  readonly connections: readonly ConnectionSnapshot[];
  /** Of all connections, those that have ended too. */
  readonly traffic: FlowCounters;
  /** What was not passed on, by reason, and what the data plane did, since the tunnel was started. */
  readonly counters: EngineCounters;
  /** Connections that were replaced, by the code of what ended the old one; `moved` when the name led elsewhere. */
  readonly reconnects: Readonly<Record<string, number>>;
  /** How often its interface was made. */
  readonly setUps: number;
}

/** What is counted beyond the life of a connection or a stack. */
export class Totals {
  readonly reconnects: Record<string, number> = {};
  readonly #traffic = noTraffic();
  #counters = NO_COUNTERS;

  countReconnect(reason: string): void {
    this.reconnects[reason] = (this.reconnects[reason] ?? 0) + 1;
  }

  /** Adds what a connection that has ended had counted. */
  addTraffic(counters: FlowCounters): void {
    add(this.#traffic, counters);
  }

  /** Adds what a stack that has ended had counted. */
  addCounters(counters: EngineCounters): void {
    this.#counters = { ...this.countersWith(counters), waitingBytes: 0 };
  }

  /** With what is open now. */
  trafficWith(sockets: Iterable<Socket>): FlowCounters {
    const traffic = { ...this.#traffic };
    // One that waits for the peer to hear its FIN is there still, and has been added.
    for (const socket of sockets) if (!socket.closed) add(traffic, socket.counters);
    return traffic;
  }

  /** With those of the stack that runs now. */
  countersWith(running: EngineCounters | undefined): EngineCounters {
    if (!running) return this.#counters;
    const before = this.#counters;
    const dropped = { ...before.dropped };
    for (const [reason, count] of Object.entries(running.dropped)) dropped[reason] = (dropped[reason] ?? 0) + count;
    return {
      dropped,
      deviceReads: before.deviceReads + running.deviceReads,
      deviceWrites: before.deviceWrites + running.deviceWrites,
      segmentationFallbacks: before.segmentationFallbacks + running.segmentationFallbacks,
      synsAnswered: before.synsAnswered + running.synsAnswered,
      challenges: before.challenges + running.challenges,
      waitingBytes: running.waitingBytes,
      fragmented: before.fragmented + running.fragmented,
    };
  }
}

function noTraffic(): FlowCounters {
  return {
    receivedDatagrams: 0,
    receivedBytes: 0,
    receivedBatches: 0,
    receivedDrops: 0,
    receivedSegments: 0,
    sentDatagrams: 0,
    sentBytes: 0,
    sentBatches: 0,
    sentDrops: 0,
  };
}

const NO_COUNTERS: EngineCounters = {
  dropped: {},
  deviceReads: 0,
  deviceWrites: 0,
  segmentationFallbacks: 0,
  synsAnswered: 0,
  challenges: 0,
  waitingBytes: 0,
  fragmented: 0,
};

function add(total: FlowCounters, more: FlowCounters): void {
  for (const key of Object.keys(total) as (keyof FlowCounters)[]) total[key] += more[key];
}
