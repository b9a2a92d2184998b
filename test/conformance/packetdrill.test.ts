/** The TCP of guise/netstack under Google's packetdrill: see scripts.ts for what passes, and why the rest does not. */
import t from 'tap';
import { noRig } from '../net/rig.js';
import { allScripts, noPacketdrill, runScripts } from './packetdrill.js';
import { EXPECTED } from './scripts.js';

const skip = noPacketdrill() ?? noRig() ?? false;

t.test('the list has the scripts of the folder, and no other', { skip }, async (t) => {
  t.same(Object.keys(EXPECTED).sort(), allScripts());
});

t.test('a script passes where the list says so, and nowhere else', { skip, timeout: 600_000 }, async (t) => {
  await runScripts(allScripts(), 2, ({ script, passed, said }) => {
    const expected = EXPECTED[script];
    if (expected === true) t.ok(passed, `${script}: passes`, { said });
    else t.notOk(passed, `${script}: does not pass: ${expected ?? 'not in the list'}`);
  });
});
