/** What is measured on a stack: each starts its peer, and fails where bytes are not those that were sent. */
import { setTimeout as delay } from 'node:timers/promises';
import { HOST } from '../../test/net/site.js';
import { ECHO, holdStreams, serveStreams, SINK, SOURCE, stream, type RoundTrips } from '../../test/net/streams.js';
import { residentKiB } from '../cpu.js';
import type { Conditions, Stand } from './contenders.js';
import { HTTP_PORT } from './services.js';

export interface Track extends Stand, AsyncDisposable {
  readonly conditions: Conditions;
  /** Seconds that a load lasts. */
  readonly seconds: number;
}

/** Gbit/s from the peer to the stack. */
export async function up({ site, address, conditions, ...track }: Track, seconds = track.seconds): Promise<number> {
  const flags = `--seconds ${seconds} --congestion ${conditions.congestion}`;
  return (await stream(site.peer, 'send', `${address}:${SINK}`, flags)).gbits;
}

/** Gbit/s from the stack to the peer. */
export async function down({ site, address, ...track }: Track, seconds = track.seconds): Promise<number> {
  return (await stream(site.peer, 'receive', `${address}:${SOURCE}`, `--seconds ${seconds}`)).gbits;
}

/** A byte to an echo and back, one after the other. */
export async function roundTrips({ site, address, seconds }: Track): Promise<RoundTrips> {
  return await stream(site.peer, 'ping', `${address}:${ECHO}`, `--count ${seconds * 5000}`);
}

/** More would use up the peer's ports, each of which rests for a minute. */
const MOST_CONNECTIONS = 40_000;

/** Connections a second, 16 at a time: opened, a byte each way, closed in order. */
export async function churn({ site, address, seconds }: Track): Promise<number> {
  const flags = `--seconds ${seconds} --count ${MOST_CONNECTIONS}`;
  const done = await stream(site.peer, 'churn', `${address}:${ECHO}`, flags);
  return done.connections / done.seconds;
}

/** Milliseconds in which a heap has recovered from what opening left. */
const SETTLE = 12_000;

/** Resident KiB of the stack for each of so many connections that have carried a byte each way and rest. */
export async function idleMemory({ site, address, program }: Track, connections: number): Promise<number> {
  const hold = (count: number): Promise<AsyncDisposable> => holdStreams(site.peer, `${address}:${ECHO}`, count);
  // What is allocated once is not theirs.
  await (await hold(100))[Symbol.asyncDispose]();
  await delay(SETTLE / 4);
  const before = residentKiB(program.pid);
  await using _held = await hold(connections);
  await delay(SETTLE);
  return (residentKiB(program.pid) - before) / connections;
}

/** Requests a second to Node's web server, on 16 connections. */
export async function requests({ site, address, seconds }: Track): Promise<number> {
  const done = await stream(site.peer, 'http', `${address}:${HTTP_PORT}`, `--seconds ${seconds}`);
  return done.requests / done.seconds;
}

/** Of three services on the stack's host, the first's port. */
const RIVAL = 7101;

/** Bytes that the stack sends through a bottleneck while the kernel beside it sends too, by the kernel's bytes. */
export async function share({ site, address }: Track, seconds: number): Promise<number> {
  await using _rival = await serveStreams(site.host, `${HOST}:${RIVAL}`, '--congestion cubic');
  const flags = `--seconds ${seconds}`;
  const [ours, theirs] = await Promise.all([
    stream(site.peer, 'receive', `${address}:${SOURCE}`, flags),
    stream(site.peer, 'receive', `${HOST}:${RIVAL + SOURCE - SINK}`, flags),
  ]);
  return ours.gbits / theirs.gbits;
}
