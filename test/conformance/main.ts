/**
 * Runs packetdrill's scripts and says of each whether it passes, and else what differs.
 *
 *     node dist/test/conformance/main.js [REGEX]
 */
import { allScripts, noPacketdrill, runScripts } from './packetdrill.js';

const reason = noPacketdrill();
if (reason !== undefined) throw new Error(reason);
const wanted = new RegExp(process.argv[2] ?? '');
let passing = 0;
const scripts = allScripts().filter((script) => wanted.test(script));
await runScripts(scripts, 2, ({ script, passed, said }) => {
  if (passed) passing++;
  console.log(passed ? `passes ${script}` : `FAILS  ${script}\n${said.replace(/^/gm, '         ')}`);
});
console.log(`${passing} of ${scripts.length} pass`);
