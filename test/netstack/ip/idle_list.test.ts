import fc from 'fast-check';
import t from 'tap';
import { IdleList, type Idle } from '../../../src/netstack/ip/idle_list.js';

class Item implements Idle<Item> {
  touched = 0;
  earlier: Item | undefined;
  later: Item | undefined;
}

t.test('any story: the oldest is the one that was not used for longest', async () => {
  const step = fc.tuple(fc.constantFrom('add', 'touch', 'remove'), fc.nat(7));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const list = new IdleList<Item>();
      let order: Item[] = [];
      steps.forEach(([what, index], now) => {
        const item = order[index];
        if (what === 'add') {
          const added = new Item();
          list.add(added, now);
          order.push(added);
        } else if (item && what === 'touch') {
          list.touch(item, now);
          order = [...order.filter((each) => each !== item), item];
          if (item.touched !== now) throw new Error('not touched');
        } else if (item) {
          list.remove(item);
          order = order.filter((each) => each !== item);
        }
        const walked: Item[] = [];
        for (let each = list.oldest; each; each = each.later) {
          if (each.earlier !== walked.at(-1)) throw new Error('broken');
          walked.push(each);
        }
        if (walked.length !== order.length || walked.some((each, at) => each !== order[at])) throw new Error('order');
      });
    }),
  );
});
