/** What a stack does, once a second: its connections, what they carried, and what was dropped for which reason. */

/** @returns a function that gives one line about what has happened since it was last called */
export function reporter(stack) {
  let before = totals(stack);
  return () => {
    const now = totals(stack);
    const line = `${now.connections} connections, ${now.received - before.received} datagrams came, ${now.sent - before.sent} left`;
    before = now;
    const dropped = Object.entries(stack.counters.dropped).map(([reason, count]) => `${count} ${reason}`);
    return dropped.length > 0 ? `${line}; dropped: ${dropped.join(', ')}` : line;
  };
}

/** Prints a line a second until the signal aborts. */
export function watch(stack, signal) {
  const report = reporter(stack);
  const timer = setInterval(() => console.log(report()), 1000);
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

function totals(stack) {
  const sum = { connections: 0, received: 0, sent: 0 };
  for (const { counters } of stack.sockets) {
    sum.connections++;
    sum.received += counters.receivedDatagrams;
    sum.sent += counters.sentDatagrams;
  }
  return sum;
}
