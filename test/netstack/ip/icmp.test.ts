import fc from 'fast-check';
import t from 'tap';
import {
  codeOf,
  makeEcho,
  makeEchoReply,
  makeIcmpError,
  makeParameterProblem,
  mayAnswerWithError,
  parseIcmp,
  type IcmpError,
  type IcmpErrorKind,
} from '../../../src/netstack/ip/icmp.js';
import { AddressBook } from '../../../src/netstack/ip/addresses.js';
import { fragments, ICMP6, makeIcmp, makePacket, makeUdp, TCP, UDP } from './packets.js';

const book = new AddressBook();
const OURS = { address: '10.0.0.2', port: 4000 };
const THEIRS = { address: '10.0.0.1', port: 53 };
const OURS6 = { address: 'fd00::2', port: 4000 };
const THEIRS6 = { address: 'fd00::1', port: 53 };
const sent4 = makeUdp(OURS, THEIRS, Buffer.alloc(2000, 1));
const sent6 = makeUdp(OURS6, THEIRS6, Buffer.alloc(2000, 1));

/** A message as it stands on the wire: type, code, the second word, and what is quoted. */
function message(type: number, code: number, word: number, quoted: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header[0] = type;
  header[1] = code;
  header.writeUInt32BE(word >>> 0, 4);
  return Buffer.concat([header, quoted]);
}

function errorOf(bytes: Uint8Array, isIpv6: boolean): IcmpError {
  const parsed = parseIcmp(bytes, isIpv6);
  if (parsed?.type !== 'error') throw new Error('no error');
  return parsed;
}

const MEANINGS4: readonly (readonly [number, number, IcmpErrorKind])[] = [
  [3, 0, 'net'],
  [3, 1, 'host'],
  [3, 2, 'protocol'],
  [3, 3, 'port'],
  [3, 4, 'tooBig'],
  [3, 5, 'host'],
  [3, 6, 'net'],
  [3, 7, 'host'],
  [3, 9, 'prohibited'],
  [3, 10, 'prohibited'],
  [3, 13, 'prohibited'],
  [3, 15, 'prohibited'],
  [11, 0, 'timeExceeded'],
  [11, 1, 'timeExceeded'],
  [12, 0, 'parameterProblem'],
];
const MEANINGS6: typeof MEANINGS4 = [
  [1, 0, 'net'],
  [1, 1, 'prohibited'],
  [1, 2, 'net'],
  [1, 3, 'host'],
  [1, 4, 'port'],
  [1, 5, 'prohibited'],
  [1, 6, 'prohibited'],
  [2, 0, 'tooBig'],
  [3, 0, 'timeExceeded'],
  [4, 0, 'parameterProblem'],
  [4, 1, 'protocol'],
  [4, 2, 'parameterProblem'],
];

t.test('types and codes are read as the RFCs have them', async (t) => {
  for (const [type, code, kind] of MEANINGS4)
    t.equal(errorOf(message(type, code, 1400, sent4), false).kind, kind, `ICMP ${type}/${code}`);
  for (const [type, code, kind] of MEANINGS6)
    t.equal(errorOf(message(type, code, 1400, sent6), true).kind, kind, `ICMPv6 ${type}/${code}`);
  for (const [type, code] of [
    [3, 16],
    [4, 0],
    [5, 0],
    [9, 0],
    [13, 0],
  ] as const)
    t.equal(parseIcmp(message(type, code, 0, sent4), false), undefined, `ICMP ${type}/${code}`);
  for (const [type, code] of [
    [1, 7],
    [100, 0],
    [133, 0],
    [137, 0],
  ] as const)
    t.equal(parseIcmp(message(type, code, 0, sent6), true), undefined, `ICMPv6 ${type}/${code}`);
  t.equal(parseIcmp(new Uint8Array(7), false), undefined, 'too short');
});

t.test('an error of every kind is made as it is read, and quotes what it is about', async (t) => {
  for (const [isIpv6, sent] of [
    [false, sent4],
    [true, sent6],
  ] as const) {
    for (const kind of Object.keys(CODES) as IcmpErrorKind[]) {
      const error = errorOf(makeIcmpError(kind, sent, isIpv6, kind === 'tooBig' ? 1300 : 0), isIpv6);
      t.equal(error.kind, kind);
      t.equal(error.mtu, kind === 'tooBig' ? 1300 : 0);
      t.match(error.quote, { protocol: UDP, seq: 0, echo: -1 });
      t.same(
        book.ends(error.quote!.tuple),
        isIpv6 ? { local: OURS6, remote: THEIRS6 } : { local: OURS, remote: THEIRS },
      );
    }
  }
});

/** Codes of node:dgram. */
const CODES: Readonly<Record<IcmpErrorKind, string>> = {
  net: 'ENETUNREACH',
  host: 'EHOSTUNREACH',
  protocol: 'ECONNREFUSED',
  port: 'ECONNREFUSED',
  prohibited: 'EHOSTUNREACH',
  tooBig: 'EMSGSIZE',
  timeExceeded: 'EHOSTUNREACH',
  parameterProblem: 'EPROTO',
};

t.test('an error has the code that node has for it', async (t) => {
  for (const [kind, code] of Object.entries(CODES)) t.equal(codeOf(kind as IcmpErrorKind), code);
});

t.test('what is quoted leaves a packet of 576 bytes, over IPv6 of 1280', async (t) => {
  t.equal(20 + makeIcmpError('port', sent4, false).length, 576);
  t.equal(40 + makeIcmpError('port', sent6, true).length, 1280);
  const short = makeUdp(THEIRS, OURS, 'short');
  t.same(makeIcmpError('port', short, false).subarray(8), Uint8Array.from(short), 'all of a short one');
});

t.test('the MTU of a router that says none is the next that is usual (RFC 1191)', async (t) => {
  const mtu = (size: number): number => {
    const packet = Buffer.from(sent4);
    packet.writeUInt16BE(size, 2);
    return errorOf(message(3, 4, 0, packet), false).mtu;
  };
  for (const [size, most] of [
    [1500, 1492],
    [1492, 1006],
    [576, 508],
    [65_535, 32_000],
    [69, 68],
    [68, 0],
  ] as const)
    t.equal(mtu(size), most, `${size} bytes`);
  t.equal(errorOf(message(3, 4, 0xabcd_0578, sent4), false).mtu, 1400, 'the unused half says nothing');
  t.equal(errorOf(message(2, 0, 0x0001_0000, sent6), true).mtu, 65_536);
});

t.test('a quoted TCP segment tells its sequence number', async (t) => {
  const segment = Buffer.alloc(20);
  segment.writeUInt16BE(4000, 0);
  segment.writeUInt16BE(80, 2);
  segment.writeUInt32BE(0xfedcba98, 4);
  const packet = makePacket('10.0.0.2', '10.0.0.1', TCP, segment);
  const { quote } = errorOf(message(3, 3, 0, packet), false);
  t.match(quote, { protocol: TCP, seq: 0xfedcba98 | 0 });
  t.same(book.ends(quote!.tuple), { local: OURS, remote: { address: '10.0.0.1', port: 80 } });
  const cut = errorOf(message(3, 3, 0, packet.subarray(0, 28)), false);
  t.equal(cut.quote?.seq, 0xfedcba98 | 0, '64 bits of it are enough');
  t.equal(errorOf(message(3, 3, 0, packet.subarray(0, 27)), false).quote, undefined, 'less are not');
});

t.test('a quoted echo request tells its numbers, an answer does not', async (t) => {
  for (const [isIpv6, source, destination] of [
    [false, '10.0.0.2', '10.0.0.1'],
    [true, 'fd00::2', 'fd00::1'],
  ] as const) {
    const echo = makeEcho(0xcafe0007, Buffer.from('data'), isIpv6);
    const quote = (bytes: Uint8Array): number | undefined =>
      errorOf(makeIcmpError('host', makeIcmp(source, destination, bytes), isIpv6), isIpv6).quote?.echo;
    t.equal(quote(echo), 0xcafe0007);
    t.equal(quote(makeEchoReply(echo, isIpv6)), -1);
  }
});

t.test('a quote behind options and extension headers is read', async (t) => {
  const options = Buffer.concat([sent4.subarray(0, 20), Buffer.from([1, 1, 1, 0]), sent4.subarray(20)]);
  options[0] = 0x46;
  t.equal(errorOf(message(3, 3, 0, options), false).quote?.tuple[33], 4000 & 255);

  const header = Buffer.from(sent6.subarray(0, 40));
  header[6] = 0;
  const extensions = Buffer.concat([
    Buffer.from([60, 0, 1, 4, 0, 0, 0, 0]), // hop-by-hop
    Buffer.from([43, 1, 1, 12, ...Buffer.alloc(12)]), // destination options, 16 bytes
    Buffer.from([51, 0, 0, 0, 0, 0, 0, 0]), // routing
    Buffer.from([44, 1, 0, 0, ...Buffer.alloc(8)]), // authentication, 12 bytes
    Buffer.from([UDP, 0, 0, 1, 0, 0, 0, 1]), // the first fragment
  ]);
  const extended = Buffer.concat([header, extensions, sent6.subarray(40)]);
  const { quote } = errorOf(message(1, 4, 0, extended), true);
  t.same(book.ends(quote!.tuple), { local: OURS6, remote: THEIRS6 });
  for (const size of [42, 50, 90])
    t.equal(errorOf(message(1, 4, 0, extended.subarray(0, size)), true).quote, undefined, `cut at ${size}`);
});

t.test('a fragment but the first tells nothing, and is not answered', async (t) => {
  for (const [isIpv6, sent] of [
    [false, sent4],
    [true, sent6],
  ] as const) {
    const [first, later] = fragments(sent, 1000);
    const [source, destination] = isIpv6 ? ['fd00::2', 'fd00::1'] : ['10.0.0.2', '10.0.0.1'];
    t.ok(errorOf(makeIcmpError('port', first!, isIpv6), isIpv6).quote);
    t.equal(errorOf(makeIcmpError('port', later!, isIpv6), isIpv6).quote, undefined);
    t.ok(mayAnswerWithError(first!, source, destination, isIpv6));
    t.notOk(mayAnswerWithError(later!, source, destination, isIpv6));
  }
});

t.test('no error is sent about an error, nor to or for many (RFC 1122, RFC 4443)', async (t) => {
  const may = (source: string, destination: string, bytes?: Uint8Array): boolean => {
    const isIpv6 = source.includes(':');
    const packet = bytes
      ? makeIcmp(source, destination, bytes)
      : makePacket(source, destination, UDP, new Uint8Array(8));
    return mayAnswerWithError(packet, source, destination, isIpv6);
  };
  t.ok(may('10.0.0.1', '10.0.0.2'));
  t.ok(may('fd00::1', 'fd00::2'));
  for (const source of ['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255', '240.0.0.1'])
    t.notOk(may(source, '10.0.0.2'), `from ${source}`);
  for (const source of ['::', '::1', 'ff02::1']) t.notOk(may(source, 'fd00::2'), `from ${source}`);
  for (const destination of ['224.0.0.1', '255.255.255.255'])
    t.notOk(may('10.0.0.1', destination), `to ${destination}`);
  t.notOk(may('fd00::1', 'ff02::1'));
  for (const [type, answered] of [
    [0, true],
    [3, false],
    [4, false],
    [5, false],
    [8, true],
    [11, false],
    [12, false],
    [13, true],
  ] as const)
    t.equal(may('10.0.0.1', '10.0.0.2', message(type, 0, 0, new Uint8Array(0))), answered, `ICMP ${type}`);
  for (const [type, answered] of [
    [1, false],
    [2, false],
    [4, false],
    [127, false],
    [128, true],
    [129, true],
    [137, false],
  ] as const)
    t.equal(may('fd00::1', 'fd00::2', message(type, 0, 0, new Uint8Array(0))), answered, `ICMPv6 ${type}`);
  const empty = makePacket('10.0.0.1', '10.0.0.2', 1, new Uint8Array(0));
  t.notOk(mayAnswerWithError(empty, '10.0.0.1', '10.0.0.2', false), 'an ICMP message that is missing');
});

t.test('an echo is answered with the same, and is left as it is', async (t) => {
  for (const isIpv6 of [false, true]) {
    const request = makeEcho(0x12345678, Buffer.from('what it carries'), isIpv6);
    request[2] = 0xab;
    const before = request.slice();
    const reply = makeEchoReply(request, isIpv6);
    t.same(request, before);
    t.same(parseIcmp(request, isIpv6), { type: 'echo', id: 0x12345678 });
    t.same(parseIcmp(reply, isIpv6), { type: 'echoReply', id: 0x12345678 });
    t.equal(Buffer.from(reply.subarray(8)).toString(), 'what it carries');
    t.same([...reply.subarray(1, 4)], [0, 0, 0], 'code and checksum');
    t.equal(parseIcmp(request, !isIpv6)?.type, undefined, 'of one family alone');
  }
});

t.test('a parameter problem says what is wrong', async (t) => {
  const made = makeParameterProblem(2, makePacket('fd00::1', 'fd00::2', ICMP6, new Uint8Array(8)), 42);
  t.same([...made.subarray(0, 8)], [4, 2, 0, 0, 0, 0, 0, 42]);
  const unknown = makeIcmpError('protocol', makePacket('fd00::1', 'fd00::2', 200, new Uint8Array(8)), true, 6);
  t.same([...unknown.subarray(0, 8)], [4, 1, 0, 0, 0, 0, 0, 6]);
});

t.test('whatever comes is read or left, and never more than is there', async () => {
  const bytes = fc.uint8Array({ maxLength: 120 });
  const types = fc.constantFrom(0, 1, 2, 3, 4, 8, 11, 12, 128, 129);
  fc.assert(
    fc.property(types, fc.nat(8), bytes, fc.boolean(), (type, code, rest, isIpv6) => {
      const bytes = message(type, code, 0, rest);
      const parsed = parseIcmp(bytes, isIpv6);
      if (parsed?.type === 'error' && parsed.quote && parsed.quote.tuple.length !== 36) throw new Error('no tuple');
      mayAnswerWithError(rest, '10.0.0.1', '10.0.0.2', isIpv6);
    }),
    { numRuns: 2000 },
  );
});
