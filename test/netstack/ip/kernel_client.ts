/**
 * The kernel's UDP as a client. Its first argument is the question, the others are places, ADDRESS PORT SIZE each:
 * `echo`: does a datagram come back as it was, from where it was sent to? `refused`: what does a connected socket hear?
 * Says a line for each place: `ok`, or what was wrong.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const [question, ...places] = process.argv.slice(2);

/** Milliseconds that an answer may take. */
const PATIENCE = 20_000;

async function echo(socket: Socket, address: string, port: number, size: number): Promise<string> {
  const data = Buffer.alloc(size, `${address} ${port} ${size}`);
  const heard = once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE) });
  socket.send(data, port, address);
  const [answer, from] = (await heard) as [Buffer, { address: string; port: number }];
  if (!answer.equals(data)) return `${answer.length} other bytes`;
  return from.address === address && from.port === port ? 'ok' : `from ${from.address} ${from.port}`;
}

async function refused(socket: Socket, address: string, port: number, size: number): Promise<string> {
  socket.connect(port, address);
  await once(socket, 'connect');
  const heard = once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE) });
  socket.send(Buffer.alloc(size));
  return heard.then(
    () => 'an answer',
    (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error),
  );
}

for (let at = 0; at < places.length; at += 3) {
  const [address, port, size] = places.slice(at, at + 3) as [string, string, string];
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
  const ask = question === 'echo' ? echo : refused;
  console.log(await ask(socket, address, Number(port), Number(size)).catch((error: unknown) => String(error)));
  socket.close();
}
