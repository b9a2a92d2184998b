import fc from 'fast-check';
import t from 'tap';
import { AddressBook, AddressWords, setAnswerAddresses, tupleOfPacket } from '../../../src/netstack/ip/addresses.js';
import { decodeAddress, encodeAddress } from '../../../src/wire/address.js';
import { makeUdp } from './packets.js';

const bytes4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
const bytes6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
/** Few bits, so that the same addresses and long runs of zeros are likely. */
const sparse6 = fc
  .array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 })
  .map((a) => Uint8Array.from(a));

t.test('an address of a packet is spelled as the kernel spells it, whatever was asked before', async () => {
  const book = new AddressBook();
  fc.assert(
    fc.property(fc.array(fc.oneof(bytes4, bytes6, sparse6), { maxLength: 40 }), (addresses) => {
      for (const bytes of [...addresses, ...addresses]) {
        const words = new AddressWords();
        const slab = Uint8Array.from([7, 7, 7, ...bytes]);
        const name = book.name(bytes.length === 4 ? words.read4(slab, 3) : words.read6(slab, 3));
        const right = bytes.length === 4 ? bytes.join('.') : decodeAddress(bytes);
        if (name !== right) throw new Error(`${name} instead of ${right}`);
      }
    }),
  );
});

t.test('more addresses than the book has slots are spelled right', async (t) => {
  const book = new AddressBook();
  const words = new AddressWords();
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < 20_000; index++) {
      const bytes = Uint8Array.from([10, index >> 16, (index >> 8) & 255, index & 255]);
      if (book.name(words.read4(bytes, 0)) !== bytes.join('.')) t.fail(bytes.join('.'));
    }
  }
  for (let index = 0; index < 10_000; index++) {
    const address = `2001:db8::${index.toString(16)}`;
    if (Buffer.compare(book.bytes(address), encodeAddress(address)) !== 0) t.fail(address);
  }
});

t.test('addresses that differ in one byte alone lie in different slots, most of them', async (t) => {
  const words = new AddressWords();
  for (const place of [0, 1, 2, 3]) {
    const slots = new Set<number>();
    for (let value = 0; value < 256; value++) {
      const bytes = Uint8Array.from([10, 20, 30, 40]);
      bytes[place] = value;
      slots.add(words.read4(bytes, 0).hash & 4095);
    }
    t.ok(slots.size > 200, `byte ${place}: ${slots.size} slots of 256`);
  }
});

t.test('an address in the form of IPv4 is known in an IPv6 header', async (t) => {
  const words = new AddressWords();
  t.equal(words.read6(encodeAddress('10.0.0.1'), 0).isMapped, true);
  t.equal(words.read6(encodeAddress('::1'), 0).isMapped, false);
  t.equal(words.read6(encodeAddress('::fffe:a00:1'), 0).isMapped, false);
});

for (const [source, destination] of [
  ['10.0.0.1', '203.0.113.7'],
  ['fd00::1', '2001:db8::5'],
] as const) {
  const isIpv6 = source.includes(':');
  const packet = makeUdp({ address: source, port: 0x1234 }, { address: destination, port: 53 }, 'x');
  const slab = Buffer.concat([Buffer.alloc(5), packet]);

  t.test(`both ends of a packet from ${source} are found`, async (t) => {
    const book = new AddressBook();
    t.equal(book.source(slab, 5, isIpv6), source);
    t.equal(book.destination(slab, 5, isIpv6), destination);
  });

  t.test(`a tuple of ${source} says which end is ours, with ports in network order`, async (t) => {
    const book = new AddressBook();
    const ports = { sourcePort: 0x1234, destinationPort: 53 };
    const came = tupleOfPacket(slab, 5, isIpv6, { ...ports, isOurs: false });
    t.same(book.ends(came), {
      local: { address: destination, port: 53 },
      remote: { address: source, port: 0x1234 },
    });
    t.same([...came.subarray(32)], [0, 53, 0x12, 0x34]);
    const sent = tupleOfPacket(slab, 5, isIpv6, { ...ports, isOurs: true });
    t.same(book.ends(sent), { local: book.ends(came).remote, remote: book.ends(came).local });
    const written = new Uint8Array(36);
    book.setTuple(written, { address: destination, port: 53 }, { address: source, port: 0x1234 });
    t.same(written, came);
  });

  t.test(`the answer to a packet from ${source} goes back`, async (t) => {
    const addresses = new Uint8Array(32);
    setAnswerAddresses(addresses, slab, 5, isIpv6);
    t.same([...addresses], [...encodeAddress(destination), ...encodeAddress(source)]);
  });
}

t.test('addresses that users give are checked, and spelled as the kernel spells them', async (t) => {
  const book = new AddressBook();
  for (let round = 0; round < 2; round++) {
    for (const given of ['FD00:0::1', 'fd00::1']) {
      t.equal(book.check('address', given), 'fd00::1');
      t.same(book.bytes(given), encodeAddress('fd00::1'));
    }
    t.equal(book.check('address', '10.0.0.1'), '10.0.0.1');
    for (const given of [undefined, 1, 'host', '', 'fe80::1%eth0', '::ffff:10.0.0.1', '10.0.0.256'])
      t.throws(() => book.check('address', given), { code: 'ERR_GUISE_ARGUMENT', message: /^address is/ });
  }
  t.equal(book.bytes('fd00::1'), book.bytes('fd00::1'), 'the same bytes, no copy');
});
