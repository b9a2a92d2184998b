/** docs/library.md: its examples compile, and its table of errors is that of src/errors.ts. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { complaints, programOf, root } from '../support/typescript.js';

const text = readFileSync(`${root}/docs/library.md`, 'utf8');

t.test('the examples compile', async (t) => {
  const blocks = [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => `${code!}\nexport {};\n`);
  t.ok(blocks.length >= 5, `${blocks.length} examples`);
  t.same(complaints(programOf(Object.fromEntries(blocks.map((code, i) => [`docs/example${i + 1}.ts`, code])))), []);
});

t.test('the errors that it lists exist, with these sentences', async (t) => {
  const source = readFileSync(`${root}/src/errors.ts`, 'utf8');
  const rows = [...text.matchAll(/^\| `(E[A-Z_]+)` +\| ([^|]+) \|/gm)];
  t.ok(rows.length >= 12, `${rows.length} rows`);
  for (const [, code, sentence] of rows) {
    const entry = source.match(new RegExp(`^ *${code!}: \\{[^}]*?sentence:\\s*'([^']*)'`, 'gms'))?.join('\n') ?? '';
    t.ok(entry.includes(sentence!.trim().replaceAll('`', '`')), `${code}: ${sentence}`);
  }
  const listed = rows.map(([, code]) => code);
  for (const thrown of ['ARGUMENT', 'CLOSED', 'CONSTRUCTOR', 'DATAGRAM_SIZE', 'ADDON_MISSING'])
    t.ok(listed.includes(`ERR_GUISE_${thrown}`), `ERR_GUISE_${thrown} is listed`);
});
