/**
 * The stack behind adapter.c: reads calls from one descriptor, and answers. Time stands still but for who waits: a sleep,
 * the next packet, a call that blocks the thread which runs the script. And a look at the clock takes a moment, so that
 * whoever looks until it is late comes to an end.
 */
import { constants } from 'node:os';
import { Calls, type Call } from './calls.js';
import { OPERATION, readRequest, writeAnswer, type Answer, type Request } from './channel.js';
import { VirtualStack } from './virtual_stack.js';

/** The adapter's first socket, which calls and answers of lane 0 use, and its second, for answers of lane 1. */
const DESCRIPTORS = [3, 4] as const;
/** Microseconds that a look at the clock takes. */
const LOOK = 5;
/** Microseconds that a script waits for a packet, or in a call, at the most. */
const PATIENCE = 300_000_000;

/** Somebody waits, and so moves the clock. */
interface Wait {
  readonly lane: number;
  readonly for: 'time' | 'packet' | 'call';
  readonly until: number;
}

const stack = new VirtualStack();
const calls = new Calls(stack);
const blocked: { readonly lane: number; readonly call: Call }[] = [];
let wait: Wait | undefined;
/**
 * The thread of blocking calls has an answer, and has not looked at the clock since: it stands until then, so that the
 * call ends when it ended.
 */
let isLookOwed = false;

function answer(lane: number, reply: Answer, microseconds = stack.now): void {
  writeAnswer(DESCRIPTORS[lane as 0 | 1], reply, microseconds);
}

/** Answers calls that need not wait any more. */
function unblock(): void {
  for (const entry of [...blocked]) {
    const reply = entry.call.attempt();
    if (!reply) continue;
    blocked.splice(blocked.indexOf(entry), 1);
    if (entry.lane === 1) isLookOwed = true;
    else wait = undefined;
    answer(entry.lane, reply);
  }
}

function moveTo(microseconds: number): void {
  stack.moveTo(microseconds);
  unblock();
}

/** What ends a wait that has lasted long enough. */
function endOf(waited: Wait): Answer {
  if (waited.for === 'time') return { result: 0 };
  // A packet of one byte is a bad one: packetdrill says which line waited for another.
  if (waited.for === 'packet') return { result: 0, bytes: new Uint8Array(1) };
  blocked.splice(
    blocked.findIndex(({ lane }) => lane === waited.lane),
    1,
  );
  return { result: -1, error: constants.errno.EINTR };
}

/** Moves the clock for who waits, as far as it may go. */
function goOn(): void {
  while (wait && !isLookOwed) {
    if (wait.for === 'packet' && stack.departures.length > 0) {
      const { bytes, microseconds } = stack.departures.shift()!;
      answer(wait.lane, { result: 0, bytes }, microseconds);
      wait = undefined;
    } else if (stack.now >= wait.until) {
      answer(wait.lane, endOf(wait));
      wait = undefined;
    } else {
      // What is due already, and stays so, is not to stop the clock.
      const due = Math.max(stack.now + 1, Math.min(stack.due, ...blocked.map(({ call }) => call.deadline)));
      moveTo(Math.min(wait.until, due));
    }
  }
}

function handle(request: Request): void {
  const { operation, lane, values, bytes } = request;
  switch (operation) {
    case OPERATION.time:
      moveTo(stack.now + LOOK);
      if (lane === 1) isLookOwed = false;
      answer(lane, { result: 0 });
      break;
    case OPERATION.sleep:
      wait = { lane, for: 'time', until: stack.now + values[0] };
      break;
    case OPERATION.packetOut:
      wait = { lane, for: 'packet', until: stack.now + PATIENCE };
      break;
    case OPERATION.packetIn:
      stack.arrive(bytes);
      unblock();
      answer(lane, { result: 0 });
      break;
    default:
      blocked.push({ lane, call: calls.begin(request) });
      if (lane === 0) wait = { lane, for: 'call', until: stack.now + PATIENCE };
      unblock();
  }
  goOn();
}

for (;;) {
  const request = readRequest(DESCRIPTORS[0]);
  if (!request) break;
  handle(request);
}
