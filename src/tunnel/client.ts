/** Applications -> fake TCP connections: each that sends to the local UDP port gets a carrier. */
import { isIPv6 } from 'node:net';
import { SYSTEM_CLOCK } from '../clock.js';
import { ConnectionLog } from '../observe/log.js';
import { NAMES } from '../policy.js';
import { formatEndpoint } from '../wire/endpoint.js';
import { Carrier } from './carrier.js';
import type { OpenedStack } from './host_stack.js';
import type { ClientOptions } from './options.js';
import { PathLog } from './path_log.js';
import { Remote } from './remote.js';
import { Totals } from './snapshot.js';
import { Tunnel, type Plan, type Service, type Surroundings } from './tunnel.js';

/** A client, which is to be started. */
export function createClient(options: ClientOptions, surroundings: Surroundings = {}): Tunnel {
  const { clock = SYSTEM_CLOCK, lookUp, lookUpInterval = NAMES.lookUpInterval } = surroundings;
  const local = formatEndpoint(options.local);
  const totals = new Totals();
  const log = new ConnectionLog(options.log, clock);

  const serve = ({ stack, explainSilence }: Pick<OpenedStack, 'stack' | 'explainSilence'>, remote: Remote): Service => {
    const udp = stack.listenUdp(options.local);
    const carriers = new Set<Carrier>();
    const ended = new AbortController();
    const context = { stack, udp, remote, options, log, paths: new PathLog(log), totals, clock, explainSilence };
    udp.on('application', (application) => {
      const carrier = new Carrier(context, application, () => carriers.delete(carrier));
      carriers.add(carrier);
      carrier.start();
    });
    const onLookUp = (): void => carriers.forEach((carrier) => carrier.follow());
    void remote.watch({ interval: lookUpInterval, signal: ended.signal, onLookUp });
    return {
      connections: () => Array.from(carriers, (carrier) => carrier.snapshot()),
      stop: () => {
        ended.abort();
        for (const carrier of [...carriers]) carrier.stop();
      },
    };
  };

  const prepare = async (signal: AbortSignal): Promise<Plan> => {
    const remote = await Remote.resolve({
      name: options.remote,
      family: options.ipv4Only ? 4 : undefined,
      lookUp,
      clock,
      signal,
      log: options.log,
    });
    const ipv6 = remote.known.some(({ address }) => isIPv6(address));
    const mixed = ipv6 && remote.known.some(({ address }) => !isIPv6(address));
    return {
      ...(mixed ? {} : { family: ipv6 ? (6 as const) : (4 as const) }),
      ipv6,
      liveness: { keepalive: options.keepalive, deadAfter: options.deadAfter },
      title: [
        `guise client: UDP ${local} -> TCP ${remote.known.map(formatEndpoint).join(', ')}`,
        'a connection is opened when the first datagram arrives',
      ],
      remoteAddresses: () => remote.known,
      serve: (opened) => serve(opened, remote),
    };
  };

  return new Tunnel({ role: 'client', options, local, totals, prepare }, surroundings);
}
