/** What is measured on a way: each starts its load, waits for its end, and refuses payloads that were not sent. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Rig } from '../test/net/rig.js';
import { ping, startPeer, type PeerResult, type PingResult } from '../test/net/traffic.js';
import { wireGuard } from '../test/net/wireguard.js';
import type { Way } from './contenders.js';
import { readCpu, residentKiB, since } from './cpu.js';

/** A rig with a contender's way on it. */
export interface Track extends AsyncDisposable {
  readonly rig: Rig;
  readonly way: Way;
  /** Seconds that a load lasts. */
  readonly seconds: number;
}

export interface Flood {
  /** Gbit/s of payload at the receiver. */
  readonly goodput: number;
  /** Datagrams a second at the receiver. */
  readonly rate: number;
  readonly loss: number;
  /** Seconds of processor time for each GB that arrived. */
  readonly machinePerGb: number;
  readonly processesPerGb: number;
}

function pids({ way }: Track): number[] {
  return way.programs.map(({ pid }) => pid);
}

function refuseWrong(result: PeerResult): void {
  const { corrupted, duplicated, wrongPeer } = result;
  if (corrupted + duplicated + wrongPeer > 0) throw new Error(`wrong datagrams arrived: ${JSON.stringify(result)}`);
}

/** Milliseconds between the first datagram of a flow and the flood, so that setting up is no part of it. */
const WARM_UP = 100;

/** Sends with `sender` flags (see `traffic --help`) after `warmUp` milliseconds, and looks at what arrives. */
export async function flood(track: Track, sender: string, warmUp = WARM_UP): Promise<Flood> {
  const { rig, way } = track;
  const many = sender.includes('--flows') ? '--from-all' : '';
  const pause = warmUp / 1000 + 0.1;
  const listening = `--bind ${way.bind} --gro --no-verify --idle ${pause} --give-up ${track.seconds + pause + 3} ${many}`;
  const sending = `--to ${way.to} --seconds ${track.seconds} --warm ${warmUp} --no-verify --idle 0 ${sender}`;
  const sink = await startPeer(rig.server, listening.trim());
  const before = readCpu(pids(track));
  const peer = await startPeer(rig.client, sending.trim());
  const [sent, received] = [await peer.result(), await sink.result()];
  const cpu = since(before, pids(track));
  if (received.received === 0) throw new Error('nothing arrived');
  refuseWrong(received);
  // A way that carries a little and then nothing has not carried it fast.
  const seconds = Math.max(sent.sendSeconds, received.receiveSeconds - warmUp / 1000);
  const gigabytes = received.receivedBytes / 1e9;
  return {
    goodput: (received.receivedBytes * 8e-9) / seconds,
    rate: received.received / seconds,
    loss: 1 - received.received / sent.sent,
    machinePerGb: cpu.machine / gigabytes,
    processesPerGb: cpu.processes / gigabytes,
  };
}

/** Gbit/s of a kernel TCP connection from client to an address of the server. */
export async function kernelTcp({ rig, seconds }: Track, address = '10.0.2.2'): Promise<number> {
  await using sink = rig.server.start('iperf3', ['-s', '-1', '-B', address, '--forceflush']);
  await sink.waitFor(/Server listening/);
  const report = JSON.parse(await rig.client.run('iperf3', ['-c', address, '-t', `${Math.ceil(seconds)}`, '-J'])) as {
    end: { sum_received: { bits_per_second: number } };
  };
  return report.end.sum_received.bits_per_second / 1e9;
}

/** Round trips of 100 bytes, one after the other, beside a plain load of `rate` datagrams a second where given. */
export async function roundTrips({ rig, way, seconds }: Track, rate = 0): Promise<PingResult> {
  const echo = await startPeer(rig.server, `--bind ${way.bind} --echo --no-verify`);
  const sending = `--to ${way.to} --seconds ${seconds + 1} --rate ${Math.round(rate)} --no-verify --idle 0`;
  const load = rate > 0 ? await startPeer(rig.client, sending) : undefined;
  const pinging = rate > 0 ? `--count ${Math.round(seconds * 2000)} --interval 300` : '--count 5000';
  const result = await ping(rig.client, `--to ${way.to} --size 100 --losses 50 ${pinging}`);
  await load?.stop();
  await echo.stop();
  if (result.wrong > 0) throw new Error(`wrong answers: ${JSON.stringify(result)}`);
  return result;
}

/** Milliseconds from the first datagram of a new application to its answer, median. */
export async function flowSetUp({ rig, way }: Track): Promise<number> {
  const echo = await startPeer(rig.server, `--bind ${way.bind} --echo`);
  const result = await ping(rig.client, `--to ${way.to} --count 100 --fresh --losses 3`);
  await echo.stop();
  if (result.lost > 2) throw new Error('first datagrams get no answer');
  return result.p50 / 1000;
}

export interface Crowd {
  /** New flows a second, each from first datagram to answer. */
  readonly rate: number;
  readonly lost: number;
}

/** Opens so many flows at once. */
export async function openFlows({ rig, way }: Track, flows: number): Promise<Crowd> {
  const echo = await startPeer(rig.server, `--bind ${way.bind} --echo`);
  const result = await ping(rig.client, `--to ${way.to} --count 1 --flows ${flows}`);
  await echo.stop();
  return { rate: (result.sent - result.lost) / result.seconds, lost: result.lost };
}

export interface Idle {
  /** KiB of the larger of client and server. */
  readonly resident: number;
  /** Fraction of one processor, of the busier of the two. */
  readonly cpu: number;
}

/** What client and server cost while nothing is sent. */
export async function idle({ way }: Track, seconds: number): Promise<Idle> {
  const before = way.programs.map(({ pid }) => readCpu([pid]).processes);
  await delay(seconds * 1000);
  const spent = way.programs.map(({ pid }, index) => readCpu([pid]).processes - before[index]!);
  return { resident: Math.max(...way.programs.map(({ pid }) => residentKiB(pid))), cpu: Math.max(...spent) / seconds };
}

/** The MTU of every WireGuard, so that the largest headers (udp2raw's) fit too. */
export const WIREGUARD_MTU = 1340;

/** Gbit/s of a kernel TCP connection inside WireGuard (wireguard-go) whose datagrams take the way. */
export async function throughWireGuard(track: Track): Promise<number> {
  const { rig, way } = track;
  await using _tunnel = await wireGuard(
    { host: rig.client, address: '10.9.0.1/24', endpoint: way.to },
    { host: rig.server, address: '10.9.0.2/24', listenPort: Number(way.bind.split(':')[1]) },
    WIREGUARD_MTU,
  );
  await rig.client.run('ping', ['-q', '-c', '1', '-W', '10', '10.9.0.2']);
  return await kernelTcp(track, '10.9.0.2');
}
