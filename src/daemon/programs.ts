/** The programs: a process with one tunnel. */
import { createClient } from '../tunnel/client.js';
import type { ClientOptions, ServerOptions } from '../tunnel/options.js';
import { createServer } from '../tunnel/server.js';
import type { Surroundings } from '../tunnel/tunnel.js';
import { runTunnels } from './process.js';

/** Runs a client until `options.signal` aborts. Rejects with one sentence when it cannot start. */
export function runClient(options: ClientOptions, surroundings?: Surroundings): Promise<void> {
  return runTunnels([createClient(options, surroundings)], options);
}

/** Runs a server until `options.signal` aborts. Rejects with one sentence when it cannot start. */
export function runServer(options: ServerOptions): Promise<void> {
  return runTunnels([createServer(options)], options);
}
