/**
 * What only one tunnel in a network namespace may have, an address or a port, is a name in the abstract namespace of
 * Unix sockets (unix(7)): it belongs to the network namespace, and goes with the process however that ends.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Bytes of a name, sizeof(sun_path): Node 20 fills it up with zeros, Node 22 takes it as long as it is. */
const NAME_SIZE = 108;

/** Takes a name until the result is disposed. Undefined when another tunnel has it, of this process or of another. */
export async function lockName(name: string): Promise<AsyncDisposable | undefined> {
  const server = createServer((visitor) => visitor.destroy());
  server.unref();
  try {
    await once(server.listen(`\0guise ${name}`.padEnd(NAME_SIZE, '\0')), 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
    throw error;
  }
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}
