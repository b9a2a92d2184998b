import t from 'tap';
import { BufferBudget } from '../../../src/netstack/loop/buffer_budget.js';

t.test('one who asks for all gets an eighth of what is left; what is given back can be taken again', async (t) => {
  const budget = new BufferBudget(800);
  t.equal(budget.take(50), 50);
  t.equal(budget.take(1_000_000), 93);
  t.equal(budget.taken, 143);
  budget.giveBack(143);
  t.equal(budget.taken, 0);
  let sum = 0;
  for (let each = 0; each < 1000; each++) sum += budget.take(1000);
  t.ok(sum <= 800 && sum > 780, `${sum}`);
});
