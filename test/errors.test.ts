import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { OPTIONS } from '../src/config/schema.js';
import {
  causeSentence,
  connectError,
  dropAdvice,
  guiseError,
  GuiseError,
  notice,
  programMissing,
  REGISTRY,
  resetsAdvice,
  stackError,
  systemError,
  usageError,
  UsageError,
  type GuiseCode,
} from '../src/errors.js';
import { addon } from '../src/native/addon.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
interface Text {
  readonly sentence: string;
  readonly mend?: string;
  readonly option?: string;
}
const own = REGISTRY.own as Readonly<Record<string, Text>>;
const options = new Set(Object.values(OPTIONS).flatMap((schema) => Object.keys(schema)));

/** Every text of the registry with the place where it stands. */
const texts = [
  ...Object.entries(own),
  ...Object.entries(REGISTRY.programs).map(([name, entry]) => [name, { sentence: 'x', ...entry }] as const),
  ...Object.entries(REGISTRY.drops),
  ...Object.entries(REGISTRY.connectCauses),
  ...Object.entries(REGISTRY.notices),
  ...[...Object.entries(REGISTRY.system), ...Object.entries(REGISTRY.stack)].flatMap(([call, codes]) =>
    Object.entries(codes).map(([code, entry]) => [`${call} ${code}`, entry] as const),
  ),
];

/** A word for each detail that a text wants. */
function details({ sentence, mend = '', option = '' }: Text) {
  const names = [...`${sentence}${mend}${option}`.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  return Object.fromEntries(names.map((name) => [name, `<${name}>`]));
}

function isSentence(t: Test, text: string, label: string): void {
  t.match(text, /^[^\s].*[^.]\.$/s, `${label} ends in one full stop`);
  t.notMatch(text, /[.!?]\s+[A-Z]/, `${label} is one sentence`);
  t.notMatch(text, /[{}]|undefined/, `${label} has all of its details`);
}

t.test('every code of ours can be built, as one sentence', async (t) => {
  for (const [code, entry] of Object.entries(own)) {
    const cause = new RangeError('cause');
    const error = guiseError(code as GuiseCode, details(entry), cause);
    isSentence(t, error.message, code);
    t.match(error, { name: 'GuiseError', code, cause });
    t.equal(error instanceof UsageError, false);
    t.match(code, /^ERR_GUISE_[A-Z_]+$/);
    t.equal(
      error.option,
      entry.option?.replaceAll(/[{}]/g, (brace) => (brace === '{' ? '<' : '>')),
      code,
    );
    for (const name of Object.keys(details(entry))) t.match(`${error.message}${error.option}`, `<${name}>`);
    t.equal(usageError(code as GuiseCode, details(entry)) instanceof UsageError, true);
  }
});

t.test('what is quoted may end in a full stop itself', async (t) => {
  const { message } = guiseError('ERR_GUISE_PROGRAM_FAILED', { command: 'ip link', said: 'Operation not permitted.' });
  t.equal(message, '`ip link` failed: Operation not permitted.');
  t.match(usageError('ERR_GUISE_OPTION_VALUE', { option: 'mtu', given: '--mtu', why: 'No.' }).message, /: No\.$/);
});

t.test('what is quoted stays on its line and steers no terminal', async (t) => {
  const { message } = usageError('ERR_GUISE_PORT', { text: '1\r\n2\u001b[2J\u009b' });
  t.equal(message, '"1 2 [2J " is not a port; give a number from 1 to 65535.');
});

t.test("every code of the system can be built, with the system's facts", async (t) => {
  for (const [call, codes] of Object.entries(REGISTRY.system)) {
    for (const [code, entry] of Object.entries(codes)) {
      const error = systemError(code, call, { address: '2001:db8::1', port: 80 });
      isSentence(t, error.message, `${call} ${code}`);
      t.match(error.message, `${call} ${code} [2001:db8::1]:80: ${entry.sentence}`);
      t.match(error, { code, syscall: call, address: '2001:db8::1', port: 80 });
      t.ok(error.errno! < 0, `${code} is negative, as in node:net`);
      t.equal(error.option, entry.option);
    }
  }
  for (const [call, codes] of Object.entries(REGISTRY.stack)) {
    for (const [code, entry] of Object.entries(codes)) {
      const { message } = stackError(code, call, { address: '192.0.2.1', port: 80 });
      isSentence(t, message, `${call} ${code}`);
      t.match(message, `${call} ${code} 192.0.2.1:80: ${entry.sentence}`);
    }
  }
  t.match(stackError('ECONNRESET', 'read').message, REGISTRY.system['read']!['ECONNRESET']!.sentence);
  t.match(systemError(-98, 'bind'), { code: 'EADDRINUSE', errno: -98 });
  t.equal(systemError('EIO', 'bind').message, 'bind EIO.');
});

t.test('a program that is missing comes with where to get it', async (t) => {
  t.equal(programMissing('ip').message, 'The program `ip` is missing; install iproute2, or use packet sockets.');
  t.match(programMissing('nft'), { code: 'ERR_GUISE_PROGRAM_MISSING', option: 'firewall' });
  t.equal(programMissing('frobnicate').message, 'The program `frobnicate` is missing; install it.');
  t.equal(programMissing('ip').option, 'device');
});

t.test('no text names a flag: the option says which one it is', async (t) => {
  for (const [name, { sentence, mend = '', option }] of texts as readonly (readonly [string, Text])[]) {
    for (const [flag, , word] of `${sentence} ${mend}`.matchAll(/--(no-)?([a-z][\w-]*)/g)) {
      t.notOk(options.has(word!), `${name} names ${flag}`);
    }
    if (option !== undefined && option !== '{option}') t.ok(options.has(option), `${name}: ${option} is an option`);
  }
});

t.test('every reason for a drop has a sentence', async (t) => {
  const reasons = addon.layout.dropReasons.filter((reason) => reason !== 'none');
  t.same(Object.keys(REGISTRY.drops).sort(), [...reasons].sort());
  for (const [reason, { sentence, mend }] of Object.entries(REGISTRY.drops)) {
    t.match(sentence, /^[a-z0-9].*[^.]$/, reason);
    t.equal(dropAdvice(reason), mend === undefined ? undefined : `${sentence}; ${mend}`, reason);
  }
  t.equal(dropAdvice('none'), undefined);
  const said = reasons.filter((reason) => dropAdvice(reason) !== undefined).sort();
  t.same(said, [
    'applicationRefused',
    'applicationsFull',
    'backendRefused',
    'badAck',
    'badChecksum',
    'deviceOverrun',
    'deviceRefused',
    'emptyDatagram',
    'eventsFull',
    'flowsFull',
    'outOfWindow',
    'oversize',
    'pathMtu',
    'pendingFull',
    'sourceFull',
    'synLimit',
  ]);
});

t.test('every cause of an open that does not succeed can be built, and all of them are one sentence', async (t) => {
  const names = Object.keys(REGISTRY.connectCauses) as (keyof typeof REGISTRY.connectCauses)[];
  const causes = names.map((cause) => ({ cause, details: details(REGISTRY.connectCauses[cause]) }));
  for (const each of causes) {
    const sentence = causeSentence(each);
    isSentence(t, sentence, each.cause);
    for (const name of Object.keys(each.details)) t.match(sentence, `<${name}>`);
  }
  const { message } = connectError('ETIMEDOUT', { address: '192.0.2.1', port: 80 }, { syns: 2, causes });
  isSentence(t, message, 'all');
  isSentence(t, resetsAdvice(3), 'resets');
});

t.test('every notice is one sentence with what helps', async (t) => {
  for (const name of Object.keys(REGISTRY.notices) as (keyof typeof REGISTRY.notices)[]) {
    isSentence(t, notice(name), name);
    t.match(notice(name), `; ${REGISTRY.notices[name].mend}`);
  }
});

t.test('errors are built here and nowhere else', async (t) => {
  const builders = /new (GuiseError|UsageError)\(|throw new \w*Error\(|\.code = 'E/;
  const files = ['src', 'client', 'server'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
  );
  t.ok(files.includes('src/errors.ts') && files.includes('client/main.ts'), 'the sources are there');
  for (const file of files.filter((path) => path.endsWith('.ts') && path !== 'src/errors.ts')) {
    t.notMatch(readFileSync(join(root, file), 'utf8'), builders, file);
  }
  t.match("throw new Error('x')", builders, 'and would be found');
  t.ok(new GuiseError('X', 'x') instanceof Error);
});
