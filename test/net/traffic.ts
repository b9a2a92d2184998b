/** The load generator of bench/traffic on a host of the rig. */
import { fileURLToPath } from 'node:url';
import type { Host } from './rig.js';
import type { RunningProgram } from './process.js';

const program = fileURLToPath(new URL('../../../build/Release/traffic', import.meta.url));

/** What one end saw; `highest` is the largest sequence number + 1. */
export interface PeerResult {
  readonly sent: number;
  readonly sentBytes: number;
  readonly sendSeconds: number;
  readonly received: number;
  readonly receivedBytes: number;
  readonly receiveSeconds: number;
  readonly gbits: number;
  readonly highest: number;
  /** Sockets of the sender that were heard of. */
  readonly flows: number;
  readonly corrupted: number;
  readonly reordered: number;
  readonly duplicated: number;
  readonly wrongPeer: number;
}

export interface PingResult {
  readonly sent: number;
  readonly lost: number;
  readonly wrong: number;
  /** Of all round trips together. */
  readonly seconds: number;
  /** [p, µs] from the fastest (0) to the slowest (1). */
  readonly percentiles: readonly (readonly [number, number])[];
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** A running `traffic peer`. */
export class Peer {
  readonly #program: RunningProgram;

  constructor(running: RunningProgram) {
    this.#program = running;
  }

  /** Ends it and says what it saw. */
  async stop(): Promise<PeerResult> {
    await this.#program.stop('SIGTERM');
    return this.result();
  }

  /** Waits for its own end and says what it saw. */
  async result(): Promise<PeerResult> {
    await this.#program.exited;
    if (!this.#program.stdout.startsWith('{')) throw new Error(`traffic failed: ${this.#program.output}`);
    return JSON.parse(this.#program.stdout) as PeerResult;
  }
}

/** Starts `traffic peer` with its flags (see `traffic --help`), and waits until its socket is there. */
export async function startPeer(host: Host, flags: string): Promise<Peer> {
  const running = host.start(program, ['peer', ...flags.split(' ')]);
  await running.waitFor(/^ready$/);
  return new Peer(running);
}

/** Passes one peer's datagrams on. */
export async function startRelay(host: Host, flags: string): Promise<RunningProgram> {
  const running = host.start(program, ['relay', ...flags.split(' ')]);
  await running.waitFor(/^ready$/);
  return running;
}

/** A flood of strangers' segments from a host on the path; `stop` ends it and says how many it were. */
export function startFlood(host: Host, flags: string): { stop(): Promise<number> } {
  const running = host.start(program, ['flood', ...flags.split(' ')]);
  return {
    stop: async () => {
      await running.stop('SIGTERM');
      return (JSON.parse(running.stdout) as { sent: number }).sent;
    },
  };
}

/** Round trips against a `peer --echo`. */
export async function ping(host: Host, flags: string): Promise<PingResult> {
  return JSON.parse(await host.run(program, ['ping', ...flags.split(' ')])) as PingResult;
}
