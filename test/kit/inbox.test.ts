import { EventEmitter } from 'node:events';
import fc from 'fast-check';
import t from 'tap';
import { Inbox } from '../../src/kit/inbox.js';

interface Item {
  readonly number: number;
}

function inbox(limit = Infinity): { emitter: EventEmitter; inbox: Inbox<Item>; put: (...numbers: number[]) => void } {
  const emitter = new EventEmitter();
  const made = new Inbox<Item>({ emitter, event: 'item', limit, cost: () => 1 });
  return { emitter, inbox: made, put: (...numbers) => numbers.forEach((number) => made.put({ number })) };
}

async function rest(items: AsyncIterable<Item>): Promise<number[]> {
  const taken: number[] = [];
  for await (const { number } of items) taken.push(number);
  return taken;
}

t.test('any story: each item is taken once, in order, or dropped and counted', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constant('put' as const) },
    { weight: 3, arbitrary: fc.constant('next' as const) },
    fc.constantFrom('listen' as const, 'mute' as const, 'flush' as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 6 }), async (steps, limit) => {
      const { emitter, inbox: each, put } = inbox(limit);
      const taken: number[] = [];
      const take = ({ number }: Item): void => void taken.push(number);
      const iterator = each.iterate();
      const asked: Promise<IteratorResult<Item>>[] = [];
      let next = 0;
      for (const what of steps) {
        if (what === 'put') put(next++);
        else if (what === 'next') asked.push(iterator.next());
        else if (what === 'listen' && emitter.listenerCount('item') === 0) emitter.on('item', take);
        else if (what === 'mute') emitter.off('item', take);
        else if (what === 'flush') each.flush();
        if (each.length > limit) throw new Error('more waits than may');
      }
      each.end();
      for (const { done, value } of await Promise.all(asked)) if (!done) taken.push(value.number);
      taken.push(...(await rest({ [Symbol.asyncIterator]: () => iterator })));
      if (new Set(taken).size !== taken.length) throw new Error('taken twice');
      if (taken.length + each.dropped !== next) throw new Error(`${taken.length} + ${each.dropped} of ${next}`);
    }),
    { numRuns: 500 },
  );
});

t.test('what is too much goes at the old end, and the end comes after what waits', async (t) => {
  const { inbox: each, put } = inbox(3);
  put(1, 2, 3, 4, 5);
  t.equal(each.dropped, 2);
  const items = rest(each.iterate());
  each.end();
  t.same(await items, [3, 4, 5]);
  put(6);
  t.same(await rest(each.iterate()), []);
});

t.test('many more than one can hold are taken in order', async (t) => {
  const { inbox: each, put } = inbox();
  const numbers = Array.from({ length: 5000 }, (_, index) => index);
  put(...numbers);
  t.equal(each.length, 5000);
  each.end();
  t.same(await rest(each.iterate()), numbers);
});

t.test('every iterator ends with the error, once, after what waits', async (t) => {
  const { inbox: each, put } = inbox();
  const [first, second] = [each.iterate(), each.iterate()];
  const waiting = first.next();
  put(1);
  t.match(await waiting, { value: { number: 1 } });
  put(2);
  each.end(new Error('broken'));
  t.notOk((await second.next()).done);
  await t.rejects(first.next(), { message: 'broken' });
  await t.rejects(second.next(), { message: 'broken' });
  t.same(await first.next(), { done: true, value: undefined });
  await t.rejects(rest(each.iterate()), { message: 'broken' }, 'one that begins later too');
});

t.test('two iterators share, in the order in which they ask', async (t) => {
  const { inbox: each, put } = inbox();
  const [first, second] = [each.iterate(), each.iterate()];
  const asked = [first.next(), second.next(), first.next()];
  put(1, 2, 3);
  t.same(
    (await Promise.all(asked)).map(({ value }) => (value as Item).number),
    [1, 2, 3],
  );
});

t.test('returning ends what an iterator waits for, and leaves the rest to others', async (t) => {
  const { inbox: each, put } = inbox();
  const iterator = each.iterate();
  const waiting = iterator.next();
  t.ok(each.hasIterators);
  await iterator.return?.();
  t.same(await waiting, { done: true, value: undefined });
  t.notOk(each.hasIterators);
  put(1);
  each.end();
  t.same(await rest(each.iterate()), [1]);
});

t.test('what is no longer good is passed over, for whoever asks', async (t) => {
  const emitter = new EventEmitter();
  const each = new Inbox<Item>({
    emitter,
    event: 'item',
    limit: Infinity,
    cost: () => 1,
    isGood: ({ number }) => number % 2 === 0,
  });
  const iterator = each.iterate();
  const asked = iterator.next();
  [1, 3, 4, 5].forEach((number) => each.put({ number }));
  t.match(await asked, { value: { number: 4 } });
  const heard: Item[] = [];
  emitter.on('item', (item: Item) => heard.push(item));
  each.flush();
  each.put({ number: 7 });
  each.put({ number: 8 });
  t.same(heard, [{ number: 8 }]);
});
