/** The course's end: handshake, data both ways and teardown against `nc`, and what tshark says of them. */
import { once } from 'node:events';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { TcpSocket } from '../../src/netstack/index.js';
import { run, start } from '../net/process.js';
import { noRig } from '../net/rig.js';
import { KERNEL4, STACK4, TunRig } from './tun_rig.js';

async function missing(...programs: readonly string[]): Promise<string | undefined> {
  for (const program of programs) {
    const isThere = await run('sh', ['-c', `command -v ${program}`]).catch(() => '');
    if (isThere === '') return `the program ${program} is missing`;
  }
  return undefined;
}

const skip = noRig() ?? (await missing('tshark', 'nc')) ?? false;

interface Packet {
  readonly source: string;
  /** Letters of its flags. */
  readonly flags: string;
  /** What tshark's expert says of it. */
  readonly said: readonly string[];
}

const FIELDS = ['ip.src', 'tcp.flags.str', '_ws.expert.message'];
/** The expert names these as what they are. */
const USUAL =
  /^(Connection (establish request|establish acknowledge|finish) \(.*|This frame (initiates|undergoes) the connection closing)$/;

/** Captures on the TUN; the function returned waits for the end of the connection, and has tshark look. */
async function capture(rig: TunRig, file: string): Promise<() => Promise<readonly Packet[]>> {
  const args = ['-ni', rig.tun, '--immediate-mode', '-U', '-w', file, 'tcp'];
  const tcpdump = start('ip', ['netns', 'exec', rig.namespace, 'tcpdump', ...args]);
  await tcpdump.waitFor(/listening on/);
  return async () => {
    for (;;) {
      // A file that is cut short, which makes it fail, is longer the next time.
      const fields = FIELDS.flatMap((each) => ['-e', each]);
      const output = await run('tshark', ['-nr', file, '-T', 'fields', ...fields]).catch(() => '');
      const packets = output.trimEnd().split('\n').map(read);
      const ends = packets.filter(({ flags }) => flags.includes('F')).length;
      if (ends < 2 || packets.at(-1)!.flags !== 'A') continue;
      await tcpdump.stop();
      return packets;
    }
  };
}

function read(line: string): Packet {
  const [source = '', letters = '', said = ''] = line.split('\t');
  return { source, flags: letters.replaceAll('·', ''), said: said.split(',').filter((each) => each !== '') };
}

function check(t: Test, packets: readonly Packet[], client: string, server: string): void {
  const [syn, synAck, ack] = packets;
  t.match(
    [syn, synAck, ack],
    [
      { source: client, flags: 'S' },
      { source: server, flags: 'AS' },
      { source: client, flags: 'A' },
    ],
  );
  for (const end of [client, server])
    t.equal(packets.filter(({ source, flags }) => source === end && flags.includes('F')).length, 1, `FIN of ${end}`);
  t.same(
    packets.flatMap(({ said }) => said).filter((each) => !USUAL.test(each)),
    [],
    "tshark's expert",
  );
}

t.test('nc connects to the stack', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await TunRig.open();
  const seen = await capture(rig, join(t.testdir(), 'packets'));
  const listener = rig.stack.listen({ port: 80, allowHalfOpen: true });
  const nc = start('ip', ['netns', 'exec', rig.namespace, 'nc', '-nN', STACK4, '80'], { input: 'a question\n' });
  const [socket] = (await once(listener, 'connection')) as [TcpSocket];
  let heard = '';
  socket.on('data', (chunk) => (heard += String(chunk)));
  await once(socket, 'end');
  t.equal(heard, 'a question\n');
  socket.end('an answer\n');
  t.equal(await nc.exited, 0);
  t.equal(nc.stdout, 'an answer\n');
  check(t, await seen(), KERNEL4, STACK4);
});

t.test('the stack connects to nc', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await TunRig.open();
  const seen = await capture(rig, join(t.testdir(), 'packets'));
  const nc = start('ip', ['netns', 'exec', rig.namespace, 'nc', '-nvlN', KERNEL4, '80'], { input: 'a question\n' });
  await nc.waitFor(/Listening/);
  const socket = rig.stack.connect({ address: KERNEL4, port: 80, allowHalfOpen: true });
  let heard = '';
  socket.on('data', (chunk) => (heard += String(chunk)));
  await once(socket, 'end');
  t.equal(heard, 'a question\n');
  socket.end('an answer\n');
  t.equal(await nc.exited, 0);
  t.equal(nc.stdout, 'an answer\n');
  check(t, await seen(), STACK4, KERNEL4);
});
