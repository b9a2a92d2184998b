import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { noRig, Rig } from './rig.js';
import { wireGuard } from './wireguard.js';

const skip = noRig() ?? false;

t.test('a file goes through WireGuard through guise across the NAT unchanged', { skip, timeout: 90_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  await rig.server.guise('server', ['--local', '443', '--remote', '127.0.0.1:51820']);
  await rig.client.guise('client', ['--local', '127.0.0.1:51821', '--remote', '10.0.2.2:443']);
  await wireGuard(
    { host: rig.client, address: '10.9.0.1/24', endpoint: '127.0.0.1:51821' },
    { host: rig.server, address: '10.9.0.2/24', listenPort: 51820 },
    1428,
  );
  const folder = await mkdtemp(join(tmpdir(), 'guise-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const content = randomBytes(32 << 20);
  await writeFile(`${folder}/sent`, content);
  const script = `
import http.server, os
class Sink(http.server.BaseHTTPRequestHandler):
  def do_PUT(self):
    left = int(self.headers['content-length'])
    with open('${folder}/received', 'wb') as out:
      while left > 0:
        data = self.rfile.read(min(left, 1 << 20)); left -= len(data); out.write(data)
    self.send_response(204); self.end_headers()
  def log_message(self, *args): pass
server = http.server.HTTPServer(('10.9.0.2', 8080), Sink)
print('listening', flush=True)
server.serve_forever()`;
  const sink = rig.server.start('python3', ['-c', script]);
  await sink.waitFor(/listening/);
  await rig.client.run('ping', ['-c', '3', '-i', '0.2', '-M', 'do', '-s', '1400', '10.9.0.2']);
  const put = "import sys, urllib.request as u; u.urlopen(u.Request('http://10.9.0.2:8080/', open(sys.argv[1], 'rb').read(), method='PUT'))";
  await rig.client.run('python3', ['-c', put, `${folder}/sent`]);
  const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  t.equal(hash(await readFile(`${folder}/received`)), hash(content));
  t.equal(await rig.invalid(), 0);
});
