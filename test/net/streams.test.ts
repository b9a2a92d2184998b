/** The programs that stacks are tried with: they pass what is right, and say what is wrong. */
import t from 'tap';
import { noRig } from './rig.js';
import { HOST, Site } from './site.js';
import { ECHO, holdStreams, serveStreams, SINK, SOURCE, stream } from './streams.js';

const skip = noRig() ?? false;
const MIB = 1 << 20;

t.test('streams of the kernel come as they were sent', { skip }, async (t) => {
  await using site = await Site.veth({ offload: true });
  await serveStreams(site.host, `${HOST}:${SINK}`);
  t.equal((await stream(site.peer, 'send', `${HOST}:${SINK}`, `--bytes ${64 * MIB}`)).bytes, 64 * MIB);
  t.equal((await stream(site.peer, 'receive', `${HOST}:${SOURCE}`, `--bytes ${64 * MIB}`)).bytes, 64 * MIB);
  t.equal((await stream(site.peer, 'receive', `${HOST}:${SOURCE}`, '--bytes 1')).bytes, 1);
  t.equal((await stream(site.peer, 'ping', `${HOST}:${ECHO}`, '--count 100')).count, 100);
  t.equal((await stream(site.peer, 'churn', `${HOST}:${ECHO}`, '--count 1000')).connections, 1000);
  await using held = await holdStreams(site.peer, `${HOST}:${ECHO}`, 200);
  t.equal(await held.stop(), 0);
});

t.test('what is wrong is said, and is an error', { skip }, async (t) => {
  await using site = await Site.veth({ offload: true });
  await serveStreams(site.host, `${HOST}:${SINK}`);
  // The echo sends the stream itself where the sink would say how much has come.
  await t.rejects(stream(site.peer, 'send', `${HOST}:${ECHO}`, '--bytes 1000'), /arrived as sent/);
  // The sink answers nothing before the end.
  await t.rejects(stream(site.peer, 'ping', `${HOST}:${SINK}`, '--count 1 --patience 1'), /no answer/);
  await t.rejects(stream(site.peer, 'receive', `${HOST}:${ECHO}`, '--bytes 8'), /wrong bytes after 0/);
  await t.rejects(stream(site.peer, 'churn', `${HOST}:7009`, '--count 1'), /connect failed after 0/);
});

t.test('a path delays, loses, doubles, damages and reorders, and TCP passes it', { skip }, async (t) => {
  await using site = await Site.path('--delay 2000 --lose 0.01 --double 0.01 --damage 0.01 --reorder 0.01');
  await serveStreams(site.host, `${HOST}:${SINK}`);
  t.ok((await stream(site.peer, 'ping', `${HOST}:${ECHO}`, '--count 10')).p50 >= 4000);
  t.equal((await stream(site.peer, 'send', `${HOST}:${SINK}`, `--bytes ${MIB}`)).bytes, MIB);
  t.equal((await stream(site.peer, 'receive', `${HOST}:${SOURCE}`, `--bytes ${MIB}`)).bytes, MIB);
});

t.test('a path has its rate and no more', { skip }, async (t) => {
  await using site = await Site.path('--rate 80 --delay 1000 --queue 100');
  await serveStreams(site.host, `${HOST}:${SINK}`);
  const { gbits } = await stream(site.peer, 'send', `${HOST}:${SINK}`, `--bytes ${4 * MIB}`);
  t.ok(gbits < 0.08, `${gbits} Gbit/s`);
  t.ok(gbits > 0.04, `${gbits} Gbit/s`);
});
