/** The segments without datagrams that a connection sends. */
import type { Engine } from '../native/engine.js';
import { ACK, FIN, RST } from '../wire/flags.js';
import { tupleOf } from '../wire/tuple.js';
import { NO_OPTIONS } from './active_open.js';
import type { ConnectionStep } from './connection.js';

/** Whose they are. */
export interface ControlledFlow {
  /** In the data plane. */
  readonly id: number;
  readonly worker: number;
  /** The tuple, as `tupleKey` makes it. */
  readonly key: string;
}

/** Sends what a connection wants. `receiveNext` is behind the peer's FIN, which takes a number. */
export function sendControl(
  engine: Engine,
  flow: ControlledFlow,
  what: NonNullable<ConnectionStep['send']>,
  receiveNext?: number,
): void {
  switch (what) {
    case 'ack':
      return engine.sendControl(flow.id, ACK, receiveNext);
    case 'fin':
      return engine.sendControl(flow.id, FIN | ACK, receiveNext);
    case 'reset':
      return engine.sendControl(flow.id, RST);
    case 'finAgain':
      return sendAgain(engine, flow, FIN | ACK, engine.flowNumbers(flow.id).sendNext - 1);
    case 'probe':
      // A number that the peer has acknowledged already has to be answered (RFC 9293 §3.10.7.4); phantun does so for
      // a number one before the last that it has acknowledged.
      return sendAgain(engine, flow, ACK, engine.flowNumbers(flow.id).peerAck - 1);
  }
}

function sendAgain(engine: Engine, { id, worker, key }: ControlledFlow, flags: number, seq: number): void {
  const ack = engine.flowNumbers(id).receiveNext;
  engine.sendSegment(worker, tupleOf(key), { flags, seq: seq >>> 0, ack, options: NO_OPTIONS });
}
