/** `npm run demo`: the main job where it can be watched. */
import { transferFile } from '../test/net/file_transfer.js';
import { fileURLToPath } from 'node:url';
import type { RunningProgram } from '../test/net/process.js';
import { noRig, Rig, type Host } from '../test/net/rig.js';
import { wireGuard } from '../test/net/wireguard.js';

const FILE = 256 << 20;
const MTU = 1428;
const began = Date.now();

function say(text: string): void {
  const seconds = ((Date.now() - began) / 1000).toFixed(1).padStart(5);
  const line = process.stdout.isTTY ? `\x1b[2K\r\x1b[2m${seconds} s\x1b[0m  ${text}` : `${seconds} s  ${text}`;
  process.stdout.write(`${line}\n`);
}

function indent(lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`            ${line}\n`);
}

function progress(fraction: number): void {
  if (!process.stdout.isTTY) return;
  const done = Math.round(fraction * 40);
  process.stdout.write(
    `\x1b[2K\r            [${'#'.repeat(done)}${'.'.repeat(40 - done)}] ${Math.round(fraction * 100)} %`,
  );
}

/** Median round trip in milliseconds, as ping says. */
async function roundTrip(host: Host, address: string): Promise<number> {
  const output = await host.run('ping', ['-c', '100', '-i', '0.01', '-s', '100', address]);
  const times = Array.from(output.matchAll(/time=([\d.]+)/g), ([, time]) => Number(time)).sort((a, b) => a - b);
  return times[times.length >> 1] ?? Number.NaN;
}

async function throughput(client: Host, server: Host, address: string): Promise<number> {
  await using sink = server.start('iperf3', ['-s', '-1', '-B', address, '--forceflush']);
  await sink.waitFor(/Server listening/);
  const report = JSON.parse(await client.run('iperf3', ['-c', address, '-t', '4', '-J'])) as {
    end: { sum_received: { bits_per_second: number } };
  };
  return report.end.sum_received.bits_per_second / 1e9;
}

/** Starts guise with the rights that it needs, and no other. */
async function guise(host: Host, part: 'client' | 'server', args: readonly string[]): Promise<RunningProgram> {
  const rights = ['--bounding-set', '-all,+net_raw,+net_bind_service', '--inh-caps', '-all', '--no-new-privs'];
  const main = fileURLToPath(new URL(`../${part}/main.js`, import.meta.url));
  const program = host.start('setpriv', [...rights, process.execPath, main, ...args]);
  await program.waitFor(/ready \(pid/);
  say(`guise-${part} ${args.join(' ')}   (with CAP_NET_RAW and CAP_NET_BIND_SERVICE)`);
  indent(program.output.split('\n'));
  return program;
}

async function demo(signal: AbortSignal): Promise<void> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('interrupted')));
  });
  await using rig = await Rig.create();
  await Promise.race([aborted, show(rig)]);
}

async function show(rig: Rig): Promise<void> {
  say('three hosts: client 10.0.1.2 -- NAT router -- server 10.0.2.2');
  const capture = await rig.capture('tcp port 443');
  const server = await guise(rig.server, 'server', ['--local', '443', '--remote', '127.0.0.1:51820']);
  const client = await guise(rig.client, 'client', ['--local', '127.0.0.1:51820', '--remote', '10.0.2.2:443']);

  const through = await wireGuard(
    { host: rig.client, address: '10.9.0.1/24', endpoint: '127.0.0.1:51820' },
    { host: rig.server, address: '10.9.0.2/24', listenPort: 51820 },
    MTU,
  );
  await wireGuard(
    { host: rig.client, address: '10.8.0.1/24', endpoint: '10.0.2.2:51821' },
    { host: rig.server, address: '10.8.0.2/24', listenPort: 51821 },
    MTU,
  );
  say('WireGuard twice: through guise (10.9.0.0/24) and straight over UDP (10.8.0.0/24)');
  await rig.client.run('ping', ['-c', '1', '10.9.0.2']);
  await rig.client.run('ping', ['-c', '1', '10.8.0.2']);
  indent(
    (await rig.client.run('wg', ['show', through.interfaces[0]]))
      .trim()
      .split('\n')
      .filter((line) => !line.includes('key')),
  );

  say('what the router sees of it:');
  await capture.waitFor(/length [1-9]/);
  indent(
    capture.output
      .split('\n')
      .filter((line) => line.includes('Flags'))
      .slice(0, 8)
      .map((line) => line.slice(18, 130)),
  );
  await capture.stop('SIGINT');

  say(`sending a file of ${FILE >> 20} MiB through WireGuard through guise`);
  const file = await transferFile({
    from: rig.client,
    to: rig.server,
    address: '10.9.0.2',
    bytes: FILE,
    onProgress: progress,
  });
  if (file.sent !== file.received) throw new Error(`the file came out changed: ${file.sent} became ${file.received}`);
  say(`received unchanged in ${file.seconds.toFixed(1)} s: sha256 ${file.received.slice(0, 32)}…`);

  say('round trips and throughput, twice in turns');
  const rows = {
    straight: { address: '10.8.0.2', rtt: [] as number[], rate: [] as number[] },
    guise: { address: '10.9.0.2', rtt: [] as number[], rate: [] as number[] },
  };
  for (let round = 0; round < 2; round++) {
    for (const row of Object.values(rows)) {
      row.rtt.push(await roundTrip(rig.client, row.address));
      row.rate.push(await throughput(rig.client, rig.server, row.address));
      progress((round * 2 + (row === rows.guise ? 2 : 1)) / 4);
    }
  }
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  say('                              round trip (p50)    throughput');
  indent([
    `WireGuard alone          ${mean(rows.straight.rtt).toFixed(3)} ms            ${mean(rows.straight.rate).toFixed(2)} Gbit/s`,
    `WireGuard through guise  ${mean(rows.guise.rtt).toFixed(3)} ms            ${mean(rows.guise.rate).toFixed(2)} Gbit/s`,
  ]);
  for (const program of [client, server]) await program.stop('SIGTERM');
  for (const host of [rig.client, rig.server]) {
    const rules = await host.run('nft', ['list', 'ruleset']);
    if (rules.includes('guise')) throw new Error(`${host.name} still has rules:\n${rules}`);
  }
  say('both programs ended; no rule and no interface is left');
}

const reason = noRig();
if (reason) {
  process.stderr.write(`The demo makes network namespaces: ${reason}.\n`);
  process.exit(1);
}
const controller = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => controller.abort());
try {
  await demo(controller.signal);
} catch (error) {
  process.stderr.write(`\ndemo: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
