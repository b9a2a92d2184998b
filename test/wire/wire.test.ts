import fc from 'fast-check';
import t from 'tap';
import { decodeAddress, encodeAddress, normalAddress } from '../../src/wire/address.js';
import { formatEndpoint } from '../../src/wire/endpoint.js';
import { synOptions } from '../../src/wire/profile.js';
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
