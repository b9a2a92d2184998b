import t from 'tap';
import { FAULTS } from '../net/faults.js';
import { noRig } from '../net/rig.js';
import { random } from './schedule.js';
import { soak } from './soak.js';

const skip = noRig() ?? false;
const MINUTES = 3;
const SEED = 4;

t.test('every fault is survived, and nothing is lost beyond its gap', { skip, timeout: 290_000 }, async (t) => {
  const report = await soak({ turns: random(SEED, MINUTES * 60_000), signal: AbortSignal.timeout(270_000) });
  t.same(report.problems, []);
  t.equal(report.faults.length, FAULTS.length);
  for (const { name, injected, recoveries } of report.faults) {
    t.ok(injected > 0, `${name} was injected`);
    t.equal(recoveries.length, injected, `${name} was survived`);
  }
  t.ok(report.sent > MINUTES * 60 * 500, `${report.sent} datagrams were sent`);
  t.same([report.corrupted, report.misdelivered, report.duplicated], [0, 0, 0]);
});
