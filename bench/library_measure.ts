/** Datagrams a second from `socket.send` in one process to `'message'` in another, each bound to a core of its own. */
import { fileURLToPath } from 'node:url';
import type { Track } from './measures.js';

const program = fileURLToPath(new URL('library.js', import.meta.url));

export async function library({ rig, seconds }: Pick<Track, 'rig' | 'seconds'>): Promise<number> {
  const receiver = rig.server.start('taskset', ['-c', '0', process.execPath, program, 'receive']);
  await receiver.waitFor(/^ready/);
  await rig.client.run('taskset', ['-c', '1', process.execPath, program, 'send', `${seconds}`]);
  const result = JSON.parse(await receiver.waitFor(/^\{/)) as { datagrams: number; wrong: number; seconds: number };
  await receiver.exited;
  if (result.wrong > 0) throw new Error(`wrong datagrams arrived: ${JSON.stringify(result)}`);
  return result.datagrams / result.seconds;
}
