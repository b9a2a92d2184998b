import t from 'tap';
import { faultsOn } from '../net/faults.js';
import { noRig } from '../net/rig.js';
import { random } from './schedule.js';
import { soak } from './soak.js';

const skip = noRig() ?? false;
const SEED = 4;

for (const [device, minutes] of [
  ['packet', 2],
  ['tun', 1.5],
] as const) {
  const name = `every fault is survived, and nothing is lost beyond its gap: ${device}`;
  t.test(name, { skip, timeout: 290_000 }, async (t) => {
    const faults = faultsOn(device);
    const turns = random(faults, SEED, minutes * 60_000);
    const report = await soak({ device, turns, signal: AbortSignal.timeout(270_000) });
    t.same(report.problems, []);
    t.equal(report.faults.length, faults.length);
    for (const { name: fault, injected, recoveries } of report.faults) {
      t.ok(injected > 0, `${fault} was injected`);
      t.equal(recoveries.length, injected, `${fault} was survived`);
    }
    t.ok(report.sent > minutes * 60 * 500, `${report.sent} datagrams were sent`);
    t.same([report.corrupted, report.misdelivered, report.duplicated], [0, 0, 0]);
  });
}
