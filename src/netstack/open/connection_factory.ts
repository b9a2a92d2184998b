/** Makes connections: what all of a stack have in common, and what each has of its own. */
import type { CongestionName } from '../tcp/congestion/choose.js';
import type { Loop } from '../loop/loop.js';
import type { Application } from '../tcp/application.js';
import { Connection } from '../tcp/connection.js';
import type { ConnectionOptions } from '../tcp/options.js';

/** What a stack tells its connections. */
export type SharedOptions = Omit<ConnectionOptions, 'isn' | 'timestampOffset' | 'mtu' | 'ipHeader'>;

type Own = { -readonly [Key in keyof ConnectionOptions]: ConnectionOptions[Key] };

export class ConnectionFactory {
  readonly #loop: Loop;
  readonly #shared: SharedOptions;

  constructor(loop: Loop, shared: SharedOptions) {
    this.#loop = loop;
    this.#shared = shared;
  }

  /**
   * Makes a connection of a flow.
   *
   * @param own options of this connection only
   */
  make(
    application: Application,
    flow: number,
    isIpv6: boolean,
    { isn, timestampOffset, ...own }: OwnOptions,
  ): Connection {
    // What is shared is inherited: four fields a connection instead of twenty.
    const options = Object.create(this.#shared) as Own;
    options.isn = isn;
    options.timestampOffset = timestampOffset;
    options.mtu = this.#loop.port.mtu;
    options.ipHeader = isIpv6 ? 40 : 20;
    if (own.congestion !== undefined) options.congestion = own.congestion;
    if (own.noDelay !== undefined) options.noDelay = own.noDelay;
    const connection = new Connection(this.#loop, application, options);
    this.#loop.adopt(connection, flow);
    return connection;
  }
}

export interface OwnOptions {
  readonly isn: number;
  readonly timestampOffset: number;
  readonly congestion?: CongestionName | undefined;
  readonly noDelay?: boolean | undefined;
}
