/** The TCP port that NAT leads to a server: no program may listen there, which would be cut off, and no other server. */
import { guiseError, systemError } from '../errors.js';
import { readIsListening } from './look/ports.js';
import { lockName } from './name_lock.js';

const NOTHING_HELD: AsyncDisposable = { [Symbol.asyncDispose]: () => Promise.resolve() };

/**
 * Takes a port, so that no other tunnel does, until the result is disposed.
 *
 * @param exclusive false where the user sets the rules: they may well lead one port to two servers, by address
 * @throws {GuiseError} ERR_GUISE_PORT_TAKEN when another server has it; EADDRINUSE when a program listens there
 */
export async function holdServerPort(port: number, exclusive: boolean): Promise<AsyncDisposable> {
  if (await readIsListening(port)) throw systemError('EADDRINUSE', 'listen', { address: '0.0.0.0', port });
  if (!exclusive) return NOTHING_HELD;
  const held = await lockName(`TCP port ${port}`);
  if (held) return held;
  throw guiseError('ERR_GUISE_PORT_TAKEN', { port });
}
