import t from 'tap';
import { resolve } from '../../src/tunnel/resolve.js';

t.test('what is an address stays one, in the spelling of the kernel', async (t) => {
  t.same(await resolve({ host: '2001:DB8::0:1', port: 443 }), [{ address: '2001:db8::1', port: 443 }]);
});

t.test('an address of one link is refused, and not taken for one of another', async (t) => {
  await t.rejects(resolve({ host: 'fe80::1%lo', port: 443 }), {
    code: 'ERR_GUISE_ZONE',
    message: /^"fe80::1%lo" is an address of one link only/,
  });
});
