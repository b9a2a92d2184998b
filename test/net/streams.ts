/** TCP connections of the kernel (bench/streams) on a host: what stacks are tried and measured against. */
import { fileURLToPath } from 'node:url';
import type { RunningProgram } from './process.js';
import type { Host } from './rig.js';

export const streams = fileURLToPath(new URL('../../../build/Release/streams', import.meta.url));

/** Ports of the services, from a base of 7001 on. */
export const SINK = 7001;
export const SOURCE = 7002;
export const ECHO = 7003;

export interface Transfer {
  readonly bytes: number;
  readonly seconds: number;
  readonly gbits: number;
}

export interface RoundTrips {
  readonly count: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

export interface Connections {
  readonly connections: number;
  readonly seconds: number;
}

export interface Requests {
  readonly requests: number;
  readonly seconds: number;
}

interface Results {
  readonly send: Transfer;
  readonly receive: Transfer;
  readonly ping: RoundTrips;
  readonly churn: Connections;
  readonly http: Requests;
}

/** Runs a mode with its flags (see `streams --help`) to its end; rejects where bytes are not those that were sent. */
export async function stream<Mode extends keyof Results>(
  host: Host,
  mode: Mode,
  to: string,
  flags = '',
): Promise<Results[Mode]> {
  const args = [mode, '--to', to, ...flags.split(' ').filter((flag) => flag !== '')];
  return JSON.parse(await host.run(streams, args)) as Results[Mode];
}

/** A sink, a source and an echo on three ports of the kernel, from `bind` on, until they are stopped. */
export async function serveStreams(host: Host, bind: string, flags = ''): Promise<RunningProgram> {
  const args = ['serve', '--bind', bind, ...flags.split(' ').filter((flag) => flag !== '')];
  const serving = host.start(streams, args);
  await serving.waitFor(/^ready$/);
  return serving;
}

/** Connections to an echo that have carried a byte each way and are kept until this is stopped. */
export async function holdStreams(host: Host, to: string, count: number): Promise<RunningProgram> {
  const holding = host.start(streams, ['hold', '--to', to, '--count', `${count}`]);
  await holding.waitFor(/^held$/);
  return holding;
}
