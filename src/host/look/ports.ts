/** The TCP ports that programs of this network namespace listen on. Looks, and changes nothing. */
import { readFile } from 'node:fs/promises';

/** TCP_LISTEN of include/net/tcp_states.h, as /proc/net/tcp has it. */
const LISTEN = '0A';

export async function readIsListening(port: number): Promise<boolean> {
  const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
  return isListening((await read('/proc/net/tcp')) + (await read('/proc/net/tcp6')), port);
}

/** @param table text of /proc/net/tcp or /proc/net/tcp6, whose addresses end in a port in hexadecimal */
export function isListening(table: string, port: number): boolean {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table.split('\n').some((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return state === LISTEN && local?.endsWith(wanted);
  });
}
