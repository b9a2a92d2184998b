/** The only module that loads the addon. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { guiseError } from '../errors.js';
import type { TupleBytes } from '../wire/tuple.js';
import type { EngineOptions, FlowOptions, OpenTunResult } from './types.js';

export interface NativeEngine {
  counters(): ArrayBuffer;
  events(worker: number): ArrayBuffer;
  swapEvents(worker: number, offset: Uint32Array): number;
  listenUdp(address: Uint8Array, port: number): number;
  udpPort(listener: number): number;
  closeUdp(listener: number): number;
  readFlow(flow: number): number;
  listen(port: number, guise4: Uint8Array, guise6: Uint8Array, phantun: Uint8Array): number;
  unlisten(port: number): number;
  countDrop(reason: number): number;
  openFlow(tuple: TupleBytes, options: FlowOptions): number;
  closeFlow(flow: number): number;
  spliceApplication(flow: number, application: number): number;
  unsplice(flow: number): number;
  spliceUdp(flow: number, address: Uint8Array, port: number, datagrams: readonly Uint8Array[]): number;
  forgetApplication(application: number): number;
  sendSegment(worker: number, tuple: TupleBytes, seq: number, ack: number, flags: number, options: Uint8Array): number;
  sendControl(flow: number, flags: number, receiveNext: number): number;
  sendDatagrams(flow: number, datagrams: readonly Uint8Array[]): number;
  close(): void;
  readonly lastSyscall: string;
}

interface Addon {
  readonly Engine: new (options: EngineOptions, wake: () => void) => NativeEngine;
  readonly dropReasons: readonly string[];
  openTun(name: string, queues: number, offload: boolean): OpenTunResult | { errno: number; syscall: string };
  limitCapabilities(mask: number): number;
  filterSystemCalls(): number;
  rulesetGeneration(): number;
}

function load(): Addon {
  // From src/native and from dist/src/native.
  const found = ['../../build/Release/guise.node', '../../../build/Release/guise.node']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(path));
  if (!found) throw guiseError('ERR_GUISE_ADDON_MISSING');
  return createRequire(import.meta.url)(found) as Addon;
}

export const addon = load();
