/** Applications -> fake TCP connections: each that sends to the local UDP port gets a carrier. */
import { isIPv6 } from 'node:net';
import { formatEndpoint } from '../wire/endpoint.js';
import { ConnectionLog } from '../observe/log.js';
import { Carrier } from './carrier.js';
import type { ClientOptions } from './options.js';
import { Remote } from './remote.js';
import { runTunnel } from './tunnel.js';
import { NAMES } from '../policy.js';

/**
 * Runs a client until `options.signal` aborts. Rejects with one sentence when it cannot start.
 *
 * @param lookUpInterval milliseconds; tests are impatient
 */
export async function runClient(options: ClientOptions, lookUpInterval: number = NAMES.lookUpInterval): Promise<void> {
  const remote = await Remote.resolve(options.remote, options.ipv4Only ? 4 : undefined);
  const ipv6 = remote.known.some(({ address }) => isIPv6(address));
  const mixed = ipv6 && remote.known.some(({ address }) => !isIPv6(address));
  const log = new ConnectionLog(options.log);
  await runTunnel({
    role: 'client',
    options,
    ...(mixed ? {} : { family: ipv6 ? (6 as const) : (4 as const) }),
    ipv6,
    liveness: { keepalive: options.keepalive, silence: options.deadAfter },
    title: [
      `guise client: UDP ${formatEndpoint(options.local)} -> TCP ${remote.known.map(formatEndpoint).join(', ')}`,
      'a connection is opened when the first datagram arrives',
    ],
    start: (stack, signal) => {
      const udp = stack.listenUdp(options.local);
      const carriers = new Set<Carrier>();
      const context = { stack, udp, remote, options, log, signal };
      udp.on('application', (application) => {
        const carrier = new Carrier(context, application, () => carriers.delete(carrier));
        carriers.add(carrier);
        carrier.start();
      });
      const onLookUp = (): void => carriers.forEach((carrier) => void carrier.follow());
      void remote.watch({ interval: lookUpInterval, signal, onLookUp });
    },
  });
}
