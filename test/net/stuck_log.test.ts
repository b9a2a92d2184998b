/** A whole server whose log nobody reads: a collector that hangs, a terminal after Ctrl-S. */
import { closeSync, constants, createReadStream, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { run } from './process.js';
import { noRig, Rig } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const main = fileURLToPath(new URL('../../server/main.js', import.meta.url));

/** Fills a pipe. */
function fill(path: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    for (;;) writeSync(fd, `${'x'.repeat(1023)}\n`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  } finally {
    closeSync(fd);
  }
}

/** It is told of a variable that no option has: this line is nearly all that may wait for a reader. */
const NONSENSE = { [`GUISE_${'X'.repeat(64_000)}`]: '1' };

t.test(
  'a server whose log nobody reads takes connections and keeps its host in order, and tells later what is left out',
  { skip, timeout: 120_000 },
  async (t) => {
    await using rig = await Rig.create();
    const { client, server } = rig;
    const log = join(t.testdir(), 'log');
    await run('mkfifo', [log]);
    const open = openSync(log, constants.O_RDWR);
    t.teardown(() => closeSync(open)); // the reader is told that there is nothing more
    fill(log);
    const program = server.start(
      'sh',
      [
        ...['-c', `exec "$@" 2>'${log}'`, 'sh', process.execPath, main],
        ...['--local', '4567', '--remote', '127.0.0.1:7000', '--tun', 'here'],
      ],
      { env: NONSENSE },
    );
    await startPeer(server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
    const tunnel = await client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567']);
    while ((await ping(client, '--to 127.0.0.1:5000 --count 1')).lost > 0);
    const { sent, lost } = await ping(client, '--to 127.0.0.1:5000 --count 1 --flows 100');
    t.same([sent, lost], [100, 0], 'connections are taken');

    await server.run('ip', ['address', 'flush', 'dev', 'here']);
    while (!(await server.run('ip', ['address', 'show', 'dev', 'here'])).includes('192.168.201.1'));
    t.equal((await ping(client, '--to 127.0.0.1:5000 --count 5')).lost, 0, 'its interface is kept');

    const lines = createInterface({ input: createReadStream(log) })[Symbol.asyncIterator]();
    const next = async (pattern: RegExp): Promise<RegExpExecArray> => {
      for (;;) {
        const line: IteratorResult<string, unknown> = await lines.next();
        if (line.done === true) throw new Error(`nothing like ${pattern}`);
        const found = pattern.exec(line.value);
        if (found) return found;
      }
    };
    const [, leftOut] = await next(/(\d+) lines of the log are left out here/);
    // Of 100 connections, each of which has a line, as long as they are not more than 50 a second.
    t.ok(Number(leftOut) > 20, `${leftOut} lines are left out`);
    t.equal((await ping(client, '--to 127.0.0.1:5000 --count 1 --flows 3')).lost, 0);
    await next(/connected/);
    t.equal(await tunnel.stop(), 0);
    t.equal(await program.stop(), 0);
  },
);
