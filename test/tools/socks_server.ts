/** A SOCKS5 proxy (RFC 1928, RFC 1929) for tests: CONNECT and UDP ASSOCIATE, by addresses. `node socks_server.js PORT LOGIN` */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, isIPv6, type Socket } from 'node:net';

const CONNECT = 1;
const ASSOCIATE = 3;
const NO_LOGIN = 0;
const LOGIN = 2;

const [port, login] = process.argv.slice(2) as [string, string];
createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  serve(socket).catch((error: unknown) => {
    console.log((error as Error).message);
    socket.destroy();
  });
}).listen(Number(port), () => console.log('listening'));

async function serve(socket: Socket): Promise<void> {
  const take = reader(socket);
  const [, count] = await take(2);
  const methods = await take(count!);
  if (!methods.includes(login ? LOGIN : NO_LOGIN)) throw new Error('no method');
  socket.write(Buffer.from([5, login ? LOGIN : NO_LOGIN]));
  if (login) {
    const [, userSize] = await take(2);
    const user = await take(userSize!);
    const [size] = await take(1);
    const isRight = `${user.toString()}:${(await take(size!)).toString()}` === login;
    socket.write(Buffer.from([1, isRight ? 0 : 1]));
    if (!isRight) throw new Error('wrong login');
  }
  const [, command, , family] = await take(4);
  const host = hostOf(await take(family === 1 ? 4 : 16));
  const target = (await take(2)).readUInt16BE(0);
  console.log(`command ${command} ${host} ${target}`);
  if (command === CONNECT) openConnection(socket, host, target);
  else if (command === ASSOCIATE) openRelay(socket);
}

function openConnection(socket: Socket, host: string, port: number): void {
  const other = connect({ host, port, allowHalfOpen: true });
  let isOpen = false;
  other.on('error', () => (isOpen ? socket.resetAndDestroy() : socket.end(answer(5))));
  socket.on('error', () => other.resetAndDestroy());
  other.once('connect', () => {
    isOpen = true;
    socket.write(answer(0));
    socket.pipe(other).pipe(socket);
  });
}

function openRelay(socket: Socket): void {
  const inside = createSocket('udp4');
  const outside: Record<4 | 6, UdpSocket> = { 4: createSocket('udp4'), 6: createSocket('udp6') };
  let client: { readonly address: string; readonly port: number } | undefined;
  inside.on('message', (frame, from) => {
    client = from;
    const is6 = frame[3] === 4;
    const end = is6 ? 20 : 8;
    const host = hostOf(frame.subarray(4, end));
    outside[is6 ? 6 : 4].send(frame.subarray(end + 2), frame.readUInt16BE(end), host);
  });
  for (const each of Object.values(outside)) {
    each.on('message', (data, { address, port }) => {
      const place = Buffer.alloc(2);
      place.writeUInt16BE(port);
      const head = Buffer.from([0, 0, 0, isIPv6(address) ? 4 : 1]);
      inside.send(Buffer.concat([head, bytesOf(address), place, data]), client!.port, client!.address);
    });
  }
  inside.bind(0, () => socket.write(answer(0, inside.address().port)));
  socket.resume().on('end', () => socket.end());
  socket.on('close', () => {
    console.log('association ended');
    for (const each of [inside, ...Object.values(outside)]) each.close();
  });
}

/** Its address is 0.0.0.0: that of the proxy. */
function answer(code: number, port = 0): Buffer {
  return Buffer.from([5, code, 0, 1, 0, 0, 0, 0, port >> 8, port & 0xff]);
}

function hostOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':');
}

function bytesOf(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
  const [head, tail = ''] = address.split('::') as [string, string?];
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((each) => Number.parseInt(each, 16));
  const gap = new Array<number>(8 - words(head).length - words(tail).length).fill(0);
  const bytes = Buffer.alloc(16);
  [...words(head), ...gap, ...words(tail)].forEach((word, i) => bytes.writeUInt16BE(word, 2 * i));
  return bytes;
}

/** Takes bytes of what comes, one call behind the other. */
function reader(socket: Socket): (size: number) => Promise<Buffer> {
  return async (size) => {
    for (;;) {
      const bytes = size === 0 ? Buffer.alloc(0) : (socket.read(size) as Buffer | null);
      if (bytes) return bytes;
      await new Promise((resolve) => socket.once('readable', resolve));
    }
  };
}
