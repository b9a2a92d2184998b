/** The published types: what is there, what is not, and that each says what it is for. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import * as guise from '../../src/index.js';
import { complaints, exportsOf, programOf, root, undocumented } from '../support/typescript.js';

const USES = `
import {
  GuiseError, Listener, Socket, Stack, UdpListener,
  type ConnectOptions, type DescriptorOptions, type Endpoint, type EngineCounters, type FlowCounters, type GuiseCode,
  type ListenerEvents, type Profile, type SocketEvents, type StackEvents, type StackOptions, type TunOptions,
  type UdpApplication, type UdpListenerEvents,
} from 'guise';

export async function uses(options: StackOptions, connect: ConnectOptions): Promise<void> {
  await using stack = await Stack.open(options);
  const name: string | undefined = stack.interfaceName;
  const numbers: [boolean, number] = [stack.segmentation, stack.workers];
  const counters: EngineCounters = stack.counters;
  const open: Socket[] = [...stack.sockets];
  const socket: Socket = await stack.connect(connect);
  socket.send(new Uint8Array(1));
  socket.on('message', (datagram: Uint8Array) => datagram.length).on('error', (error: Error) => error.message);
  for await (const datagram of socket) datagram.subarray(1);
  const profile: Profile = socket.profile;
  const own: FlowCounters = socket.counters;
  const ends: Endpoint[] = [
    { address: socket.localAddress, port: socket.localPort },
    { address: socket.remoteAddress, port: socket.remotePort },
  ];
  const known: [number, number, boolean] = [socket.maxPayload, socket.receiveDrops, socket.closed];
  await using listener: Listener = stack.listen({ port: 80 });
  for await (const each of listener) each.spliceUdp({ address: '127.0.0.1', port: 80 });
  await using udp: UdpListener = stack.listenUdp({ address: '127.0.0.1', port: 0 });
  udp.on('application', (application: UdpApplication) => {
    socket.spliceApplication(application);
    socket.unsplice();
    udp.drop(application);
  });
  const { port } = udp.local;
  const code: GuiseCode = 'ERR_GUISE_CLOSED';
  const error: GuiseError | undefined = undefined;
  const devices: [TunOptions, DescriptorOptions] = [{ queues: 1 }, { descriptors: [3] }];
  type Events = [SocketEvents, StackEvents, ListenerEvents, UdpListenerEvents];
  console.log(name, numbers, counters, open, profile, own, ends, known, listener.port, port, code, error, devices);
  await socket.close();
  socket.resetAndDestroy();

  // @ts-expect-error made by Stack.open
  new Stack(options);
  // @ts-expect-error made by Stack.connect
  new Socket();
  // @ts-expect-error made by Stack.listen
  new Listener();
  // @ts-expect-error made by Stack.listenUdp
  new UdpListener();
  // @ts-expect-error inside
  socket.flow;
  // @ts-expect-error inside
  socket.key;
  // @ts-expect-error inside
  socket.accepted;
  // @ts-expect-error inside
  socket.receiveDatagram;
  // @ts-expect-error inside
  socket.receiveSegment;
  // @ts-expect-error inside
  socket.watch;
  // @ts-expect-error inside
  socket.look;
  // @ts-expect-error inside
  socket.idleFor;
  // @ts-expect-error no such event
  socket.on('data', () => {});
  // @ts-expect-error a text is no datagram
  socket.send('text');
  // @ts-expect-error counters are read only
  stack.counters.deviceReads = 0;
  // @ts-expect-error one of the two profiles
  await stack.connect({ ...connect, profile: 'tls' });
  // @ts-expect-error a device is needed
  await Stack.open({ addresses: [] });
}
`;

const DISPOSE = 'Symbol(Symbol.asyncDispose)';
const ITERATOR = 'Symbol(Symbol.asyncIterator)';

/** Of the prototypes; what EventEmitter and Error have is not listed. */
const MEMBERS: Record<string, readonly string[]> = {
  Stack: [
    DISPOSE,
    'close',
    'connect',
    'counters',
    'interfaceName',
    'listen',
    'listenUdp',
    'pathMtu',
    'segmentation',
    'sockets',
    'workers',
  ],
  Socket: [
    DISPOSE,
    ITERATOR,
    'addListener',
    'close',
    'closed',
    'counters',
    'localAddress',
    'localPort',
    'maxPayload',
    'on',
    'path',
    'prependListener',
    'profile',
    'receiveDrops',
    'remoteAddress',
    'remotePort',
    'resetAndDestroy',
    'send',
    'spliceApplication',
    'spliceUdp',
    'unsplice',
    'windowScaled',
  ],
  Listener: [DISPOSE, ITERATOR, 'addListener', 'address', 'close', 'on', 'port', 'prependListener'],
  UdpListener: [DISPOSE, 'close', 'drop', 'local'],
  GuiseError: [],
};

const declarations = `${root}/dist/src/index.d.ts`;
const program = programOf({ 'test/types/uses.ts': USES });
const { exported, checker } = exportsOf(program, declarations);

t.test('a program may use what is public, and nothing else', async (t) => {
  t.same(complaints(program), []);
});

t.test('the classes have these members and no others, when they run and in their types', async (t) => {
  t.same(Object.keys(guise).sort(), Object.keys(MEMBERS).sort());
  for (const [name, expected] of Object.entries(MEMBERS)) {
    const { prototype } = guise[name as keyof typeof guise] as unknown as { prototype: object };
    const atRun = Reflect.ownKeys(prototype)
      .filter((key) => key !== 'constructor')
      .map((key) => String(key).replace('nodejs.', 'Symbol.'));
    t.same(atRun.sort(), [...expected].sort(), name);
    const symbol = exported.find((each) => each.name === name)!;
    const declared = checker
      .getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol))
      .filter(({ declarations }) => declarations!.some(({ parent }) => parent === symbol.valueDeclaration))
      .map((each) => each.name.replace(/^_*@(\w+)@\d+$/, 'Symbol(Symbol.$1)'))
      .filter((each) => !each.includes('#'));
    const fields = name === 'GuiseError' ? ['address', 'code', 'errno', 'option', 'port', 'syscall'] : [];
    t.same(declared.sort(), [...expected, ...fields].sort(), `${name} in its types`);
  }
});

t.test('an instance has no property of its own that is not EventEmitter’s', async (t) => {
  for (const constructor of [guise.Socket, guise.Listener, guise.UdpListener]) {
    t.throws(() => new (constructor as unknown as new () => object)(), { code: 'ERR_GUISE_CONSTRUCTOR' });
  }
});

t.test('every export says what it is, with an example that compiles', async (t) => {
  t.same(undocumented(exported, checker), []);
});

t.test('nothing in what is published is marked as internal', async (t) => {
  for (const { fileName, isDeclarationFile } of program.getSourceFiles()) {
    if (!isDeclarationFile || !fileName.startsWith(`${root}/dist/src/fake_tcp/`)) continue;
    t.notMatch(readFileSync(fileName, 'utf8'), /@internal/, fileName.replace(root, ''));
  }
});
