/** A flow of tests, as the data plane takes it: both sides' next number is 1. */
import type { FlowOptions } from '../../src/native/types.js';

export const FLOW: FlowOptions = {
  worker: 0,
  sendNext: 1,
  receiveNext: 1,
  maxPayload: 1460,
  push: false,
  limitInitialWindow: false,
  scaled: true,
  acknowledges: true,
  way: 0n,
};
