/** What is counted, as users see it. */
import type { EngineCounters as Engine, FlowCounters as Flow } from '../native/types.js';

/**
 * What a stack has counted, and what waits in it now.
 *
 * @example
 * ```ts
 * import type { EngineCounters, Stack } from 'guise';
 *
 * declare const stack: Stack;
 * const { dropped, waitingBytes }: EngineCounters = stack.counters;
 * for (const [reason, count] of Object.entries(dropped)) console.log(`${reason}: ${count}`);
 * console.log(`${waitingBytes} bytes wait`);
 * ```
 */
export type EngineCounters = Readonly<Engine>;

/**
 * What one connection has counted.
 *
 * @example
 * ```ts
 * import type { FlowCounters, Socket } from 'guise';
 *
 * declare const socket: Socket;
 * const { receivedDatagrams, sentDatagrams }: FlowCounters = socket.counters;
 * console.log(`${receivedDatagrams} came, ${sentDatagrams} left`);
 * ```
 */
export type FlowCounters = Readonly<Flow>;
