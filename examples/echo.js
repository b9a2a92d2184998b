/** A server that sends back what it gets, and a client that asks it. Both take an open stack. */

const PORT = 4567;

/** Answers every datagram of every client until the stack closes. */
export async function serve(stack) {
  for await (const socket of stack.listen({ port: PORT })) {
    socket.on('error', (error) => console.error(error.message));
    socket.on('message', (datagram) => socket.send(datagram));
  }
}

/** Sends a text and resolves with the answer. */
export async function ask(stack, address, text) {
  const socket = await stack.connect({ address, port: PORT, signal: AbortSignal.timeout(5000) });
  socket.send(Buffer.from(text));
  try {
    for await (const datagram of socket) return Buffer.from(datagram).toString();
    throw new Error('The server has closed the connection.');
  } finally {
    await socket.close();
  }
}
