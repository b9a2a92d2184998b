/**
 * UDP through a connection, in both directions and without JavaScript on the way: what guise-client and guise-server do.
 */

const PORT = 4567;

/** The server: each connection gets a UDP socket of its own, connected to the service. */
export function serve(stack, service) {
  const listener = stack.listen({ port: PORT });
  listener.on('connection', (socket) => {
    socket.on('error', (error) => console.error(error.message));
    socket.spliceUdp(service);
  });
  return listener;
}

/** The client: each application that sends to the local port gets a connection of its own. */
export function relay(stack, local, address) {
  const udp = stack.listenUdp(local);
  udp.on('application', async (application) => {
    try {
      // The worker that has the application has to have the connection too.
      const socket = await stack.connect({ address, port: PORT, worker: application.worker });
      socket.on('error', () => udp.drop(application));
      socket.spliceApplication(application);
    } catch (error) {
      console.error(error.message);
      udp.drop(application);
    }
  });
  return udp;
}
