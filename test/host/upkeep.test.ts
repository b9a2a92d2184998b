import t from 'tap';
import { TimeShare } from '../../src/host/time_share.js';
import { Upkeep, type HostPart } from '../../src/host/upkeep.js';
import { HOST } from '../../src/policy.js';
import { ManualClock } from '../support/clock.js';

/** A part of the set-up whose every look does what the test says. */
class Part implements HostPart {
  looks = 0;
  next: () => string[] = () => [];

  async ensure(): Promise<string[]> {
    this.looks++;
    return this.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

t.test('what others have undone is set up again, and told', async (t) => {
  const clock = new ManualClock();
  const part = new Part();
  const told: string[] = [];
  const upkeep = new Upkeep([part], (sentence) => told.push(sentence), clock);
  await clock.pass(3 * HOST.keepInterval);
  t.equal(part.looks, 3);
  t.same(told, []);
  part.next = () => ['set up again'];
  await clock.pass(HOST.keepInterval);
  t.same(told, ['set up again']);
  await upkeep[Symbol.asyncDispose]();
  await clock.pass(10 * HOST.keepInterval);
  t.equal(part.looks, 4, 'nothing is looked at after the end');
});

t.test('a failure is told when it lasts, once, and tried again less often', async (t) => {
  const clock = new ManualClock();
  const part = new Part();
  const told: string[] = [];
  await using _upkeep = new Upkeep([part], (sentence) => told.push(sentence), clock);
  part.next = () => {
    throw new Error('cannot');
  };
  await clock.pass((HOST.keepFailures - 1) * HOST.keepInterval);
  t.same(told, [], 'while somebody changes rules, a failure is no news');
  await clock.pass(HOST.keepInterval);
  t.same(told, ['cannot']);
  await clock.pass(10 * HOST.keepLongInterval);
  t.same([told.length, part.looks], [1, HOST.keepFailures + 10]);
  part.next = () => [];
  await clock.pass(HOST.keepLongInterval + 5 * HOST.keepInterval);
  t.equal(part.looks, HOST.keepFailures + 16, 'each second again after a success');
});

t.test('one part that fails does not slow down another', async (t) => {
  const clock = new ManualClock();
  const [good, bad] = [new Part(), new Part()];
  bad.next = () => {
    throw new Error('cannot');
  };
  await using _upkeep = new Upkeep([good, bad], () => {}, clock);
  await clock.pass(20 * HOST.keepInterval);
  t.same([good.looks, bad.looks], [20, HOST.keepFailures]);
});

t.test('work that may be asked for at any moment takes its share of the time', async (t) => {
  const share = new TimeShare(0.01, 100);
  let [now, spent] = [1000, 0];
  const end = now + 1e6;
  for (; now < end; now += 50) {
    if (!share.isLeft(now)) continue;
    share.spend(40);
    now += 40;
    spent += 40;
  }
  t.ok(spent >= 1e6 * 0.01, 'all of it');
  t.ok(spent <= 1e6 * 0.01 + 100 + 40, 'and no more than it may be ahead');
});
