import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { readmeTable } from './readme_table.js';

const path = new URL('../../../README.md', import.meta.url);
const TABLE =
  /(?<=<!-- Written by `npx tap --snapshot dist\/test\/config\/readme\.test\.js`\. -->\n)[^]*?(?=\n<!-- -->)/;

t.test('the table of flags is that of the schema', async (t) => {
  const readme = readFileSync(path, 'utf8');
  if (process.env['TAP_SNAPSHOT'] === '1')
    writeFileSync(
      path,
      readme.replace(TABLE, () => readmeTable()),
    );
  t.equal(TABLE.exec(readFileSync(path, 'utf8'))?.[0], readmeTable());
});
