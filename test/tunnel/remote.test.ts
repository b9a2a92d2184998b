import t from 'tap';
import type { Socket } from '../../src/index.js';
import { NAMES } from '../../src/policy.js';
import { Remote, type ConnectionSource, type LookUp } from '../../src/tunnel/remote.js';
import type { Endpoint } from '../../src/wire/endpoint.js';
import { ManualClock, settled } from '../support/clock.js';

/** A resolver that says what the test wants, at once or when it is told. */
class Resolver {
  asked = 0;
  answer: string[] | Error = ['10.0.0.1'];
  /** What an answer waits for. */
  patience: Promise<void> = Promise.resolve();

  readonly lookUp: LookUp = async ({ port }) => {
    this.asked++;
    await this.patience;
    if (this.answer instanceof Error) throw this.answer;
    return this.answer.map((address) => ({ address, port })) as [Endpoint];
  };
}

async function remote(host = 'vpn.test'): Promise<{ remote: Remote; resolver: Resolver; clock: ManualClock }> {
  const [resolver, clock] = [new Resolver(), new ManualClock()];
  const name = { host, port: 443 };
  return { remote: await Remote.resolve({ name, lookUp: resolver.lookUp, clock }), resolver, clock };
}

const known = (each: Remote): string[] => each.known.map(({ address }) => address);

t.test('a name without an address is an error at the start, and none later', async (t) => {
  const resolver = new Resolver();
  resolver.answer = new Error('none');
  const options = { name: { host: 'vpn.test', port: 443 }, lookUp: resolver.lookUp };
  await t.rejects(Remote.resolve(options), /none/);
  const { remote: later, resolver: failing, clock } = await remote();
  failing.answer = new Error('none');
  await clock.pass(NAMES.fresh + 1);
  t.same(await later.fresh(), [{ address: '10.0.0.1', port: 443 }]);
  t.equal(failing.asked, 2);
});

t.test('addresses are good for a while, and then asked for again, once for all who want them', async (t) => {
  const { remote: each, resolver, clock } = await remote();
  resolver.answer = ['10.0.0.2'];
  await clock.pass(NAMES.fresh);
  t.same((await each.fresh())[0].address, '10.0.0.1');
  await clock.pass(1);
  const all = await Promise.all([each.fresh(), each.fresh(), each.fresh()]);
  t.same(
    all.map(([{ address }]) => address),
    ['10.0.0.2', '10.0.0.2', '10.0.0.2'],
  );
  t.equal(resolver.asked, 2);
});

t.test('a resolver that takes long is waited for a while, and its answer is used when it comes', async (t) => {
  const { remote: each, resolver, clock } = await remote();
  await clock.pass(NAMES.fresh + 1);
  let answer = (): void => {};
  resolver.patience = new Promise((resolve) => {
    answer = resolve;
  });
  resolver.answer = ['10.0.0.2'];
  const fresh = each.fresh();
  await settled();
  t.same(clock.waits, [NAMES.patience]);
  await clock.pass(NAMES.patience);
  t.same((await fresh)[0].address, '10.0.0.1', 'the resolver may be behind the tunnel that is down');
  answer();
  await settled();
  t.same(known(each), ['10.0.0.2']);
});

t.test('an address is lost when two look-ups in a row came without it', async (t) => {
  const { remote: each, resolver, clock } = await remote();
  const ended = new AbortController();
  let lookUps = 0;
  const watching = each.watch({ interval: 30_000, signal: ended.signal, onLookUp: () => lookUps++ });
  t.equal(each.hasLost('10.0.0.1'), false);
  resolver.answer = ['10.0.0.2'];
  await clock.pass(30_000);
  t.equal(each.hasLost('10.0.0.1'), false, 'a name may lead to one of many, by turns');
  resolver.answer = new Error('none');
  await clock.pass(30_000);
  t.equal(each.hasLost('10.0.0.1'), false, 'a look-up that fails says nothing');
  resolver.answer = ['10.0.0.2'];
  await clock.pass(30_000);
  t.equal(each.hasLost('10.0.0.1'), true);
  t.equal(each.hasLost('10.0.0.2'), false);
  t.equal(lookUps, 3);
  ended.abort();
  await watching;
});

t.test('an address instead of a name is never looked up again', async (t) => {
  const { remote: each, resolver } = await remote('10.0.0.1');
  await each.watch({ interval: 1, signal: new AbortController().signal, onLookUp: () => t.fail('looked up') });
  t.equal(resolver.asked, 1);
});

/** Connections that the test opens and refuses. */
class Source implements ConnectionSource {
  readonly asked: string[] = [];
  readonly reset: string[] = [];
  readonly #attempts = new Map<string, { open: () => void; refuse: () => void; aborted: () => boolean }>();

  connect({ address, signal }: { address: string; signal?: AbortSignal }): Promise<Socket> {
    this.asked.push(address);
    return new Promise((resolve, reject) => {
      const socket = { remoteAddress: address, resetAndDestroy: () => this.reset.push(address) } as unknown as Socket;
      this.#attempts.set(address, {
        open: () => resolve(socket),
        refuse: () => reject(new Error(`${address} refuses`)),
        aborted: () => signal?.aborted ?? false,
      });
      signal?.addEventListener('abort', () => reject(new Error('aborted')));
    });
  }

  of(address: string): { open: () => void; refuse: () => void; aborted: () => boolean } {
    return this.#attempts.get(address)!;
  }
}

async function connecting(
  ...addresses: string[]
): Promise<{ clock: ManualClock; source: Source; got: Promise<Socket> }> {
  const [resolver, clock, source] = [new Resolver(), new ManualClock(), new Source()];
  resolver.answer = addresses;
  const name = { host: 'vpn.test', port: 443 };
  const got = (await Remote.resolve({ name, lookUp: resolver.lookUp, clock })).connect(source, {});
  got.catch(() => {}); // the test looks at it later
  await clock.pass(0);
  return { clock, source, got };
}

t.test('the best address is tried first, the next one beside it after a while', async (t) => {
  const { clock, source, got } = await connecting('10.0.0.1', '10.0.0.2', '10.0.0.3');
  t.same(source.asked, ['10.0.0.1']);
  await clock.pass(NAMES.headStart - 1);
  t.same(source.asked, ['10.0.0.1']);
  await clock.pass(1);
  t.same(source.asked, ['10.0.0.1', '10.0.0.2']);
  source.of('10.0.0.2').open();
  t.equal((await got).remoteAddress, '10.0.0.2');
  await clock.pass(10 * NAMES.headStart);
  t.ok(source.of('10.0.0.1').aborted(), 'the slower one is given up');
  t.same(source.asked, ['10.0.0.1', '10.0.0.2'], 'and the next one is not tried any more');
});

t.test('an address that refuses gives way to the next at once', async (t) => {
  const { clock, source, got } = await connecting('10.0.0.1', '10.0.0.2');
  source.of('10.0.0.1').refuse();
  await clock.pass(0);
  t.same(source.asked, ['10.0.0.1', '10.0.0.2']);
  source.of('10.0.0.2').refuse();
  await t.rejects(got, /10.0.0.1 refuses/, 'the error is that of the best address');
});

t.test('of two that answer at once the second is reset', async (t) => {
  const { clock, source, got } = await connecting('10.0.0.1', '10.0.0.2');
  await clock.pass(NAMES.headStart);
  source.of('10.0.0.1').open();
  source.of('10.0.0.2').open();
  t.equal((await got).remoteAddress, '10.0.0.1');
  await settled();
  t.same(source.reset, ['10.0.0.2']);
});
