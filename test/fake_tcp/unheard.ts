/**
 * An error that somebody or nobody hears of, in a process of its own: `node unheard.js WHAT`. Prints who heard of it and
 * then `ended`.
 */
import { stackOnWire } from '../support/device.js';
import { accept, until } from '../support/peer.js';

const RST = 4;
const [, , what = ''] = process.argv;
const [stack, wire] = await stackOnWire();

process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
  process.stdout.write(`uncaught ${error.code} `);
});
const heard = (by: string) => (error: unknown) => {
  process.stdout.write(`${by} ${(error as NodeJS.ErrnoException).code} `);
};

switch (what) {
  case 'socket':
  case 'socket heard':
  case 'socket iterated': {
    const { socket, write } = await accept(stack, wire);
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    if (what === 'socket heard') socket.on('error', heard('listener'));
    if (what === 'socket iterated') socket[Symbol.asyncIterator]().next().catch(heard('iterator'));
    write({ flags: RST });
    await ended;
    break;
  }
  case 'stack':
  case 'stack heard':
    if (what === 'stack heard') stack.on('error', heard('listener'));
    wire[Symbol.dispose]();
    // The stack is closed then.
    await until(() => {
      try {
        stack.listen({ port: 1 }).close();
        return false;
      } catch {
        return true;
      }
    });
    await stack.close();
    break;
  case 'own close': {
    const { socket } = await accept(stack, wire);
    socket.resetAndDestroy();
    break;
  }
  default:
    throw new Error(`unknown: ${what}`);
}
await new Promise((resolve) => setImmediate(resolve));
process.stdout.write('ended');
process.exit(0);
