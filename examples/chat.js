/**
 * A chat for clients that cannot reach each other: behind NAT each opens a connection, as to a web server, and the
 * server passes on what one says to all others.
 */

const PORT = 4567;

/** Runs until the stack closes. */
export async function serve(stack) {
  const clients = new Set();
  for await (const client of stack.listen({ port: PORT })) {
    clients.add(client);
    client.on('error', (error) => console.error(error.message));
    client.on('close', () => clients.delete(client));
    client.on('message', (line) => {
      for (const other of clients) if (other !== client && !other.closed) other.send(line);
    });
  }
}

/** Joins; `hear` is called with each line that another says. */
export async function join(stack, address, name, hear) {
  const socket = await stack.connect({ address, port: PORT });
  socket.on('error', (error) => console.error(error.message));
  socket.on('message', (line) => hear(Buffer.from(line).toString()));
  return {
    say: (text) => socket.send(Buffer.from(`${name}: ${text}`)),
    leave: () => socket.close(),
  };
}
