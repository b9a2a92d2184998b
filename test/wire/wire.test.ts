import fc from 'fast-check';
import t from 'tap';
import { decodeAddress, encodeAddress, normalAddress } from '../../src/wire/address.js';
import { formatEndpoint } from '../../src/wire/endpoint.js';
import { synOptions } from '../../src/wire/profile.js';
import { parseSynOptions } from '../../src/wire/syn_options.js';
import { encodeTuple, localEnd, localPort, remoteEnd, tupleKey, tupleOf, TUPLE_SIZE } from '../../src/wire/tuple.js';

const port = fc.integer({ min: 0, max: 65_535 });
const endpoint = fc.record({ address: fc.oneof(fc.ipV4(), fc.ipV6()).map(normalAddress), port });

t.test('a tuple gives back its ends, and its key gives back the tuple', async () => {
  fc.assert(
    fc.property(endpoint, endpoint, (local, remote) => {
      const tuple = encodeTuple(local, remote);
      const again = tupleOf(tupleKey(tuple));
      const same = JSON.stringify([localEnd(again), remoteEnd(again)]) === JSON.stringify([local, remote]);
      if (tuple.length !== TUPLE_SIZE || !same || localPort(tuple) !== local.port) throw new Error('another');
    }),
  );
});

t.test('IPv4 is written in its mapped form, and read as IPv4', async (t) => {
  t.equal(Buffer.from(encodeAddress('192.0.2.1')).toString('hex'), '00000000000000000000ffffc0000201');
  t.equal(decodeAddress(encodeAddress('2001:DB8:0:0::1')), '2001:db8::1');
});

t.test('endpoints are written with brackets where the address is IPv6', async (t) => {
  t.equal(formatEndpoint({ address: '192.0.2.1', port: 80 }), '192.0.2.1:80');
  t.equal(formatEndpoint({ address: '2001:db8::1', port: 80 }), '[2001:db8::1]:80');
});

t.test('the options of a SYN are those of the profile', async (t) => {
  t.equal(Buffer.from(synOptions('guise', 1460)).toString('hex'), '020405b4010104020103030e');
  t.equal(Buffer.from(synOptions('phantun', 1460)).toString('hex'), '0103030e');
});

t.test("a SYN's options are found wherever they stand", async (t) => {
  const parse = (hex: string): unknown => parseSynOptions(Buffer.from(hex, 'hex'));
  t.same(parse('020405b4010104020103030e'), { scaled: true, mss: 1460 });
  t.same(parse('020405b40402080a00000001000000000103'), { scaled: false, mss: 1460 }, 'the last is cut short');
  t.same(parse('0103030e'), { scaled: true, mss: undefined });
  t.same(parse(''), { scaled: false, mss: undefined });
  t.same(parse('020405b402040400020405b4'), { scaled: false, mss: 1024 }, 'the least of several counts');
});

t.test("what cannot be read in a SYN's options says nothing", async (t) => {
  const nothing = { scaled: false, mss: undefined };
  for (const hex of [
    '0003030e',
    '090003030e',
    '090103030e',
    '03',
    '0303',
    '03040e00',
    '020405',
    '0203050204',
    '02040000',
  ])
    t.same(parseSynOptions(Buffer.from(hex, 'hex')), nothing, hex);
  t.same(parseSynOptions(Buffer.from('09030303030e', 'hex')), { scaled: true, mss: undefined });
});
