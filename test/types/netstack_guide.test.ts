/** docs/netstack.md: its examples compile, its tables of options are those of the code, and the files that it names are there. */
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import ts from 'typescript';
import { NETSTACK_ICMP, NETSTACK_TCP, NETSTACK_UDP } from '../../src/policy.js';
import { complaints, programOf, root } from '../support/typescript.js';

const text = readFileSync(`${root}/docs/netstack.md`, 'utf8');

/** The rows below a heading, up to the next one: their cells. */
function rows(heading: string): string[][] {
  const [, section = ''] = text.split(`${heading}\n`);
  const lines = section.split(/\n#/)[0]!.split('\n');
  return lines
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

t.test('the examples compile', async (t) => {
  const blocks = [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => `${code!}\nexport {};\n`);
  t.ok(blocks.length >= 8, `${blocks.length} examples`);
  t.same(complaints(programOf(Object.fromEntries(blocks.map((code, i) => [`docs/netstack${i + 1}.ts`, code])))), []);
});

const TABLES: readonly [heading: string, type: string, file: string][] = [
  ['### `Netstack.open`', 'NetstackOptions', 'options'],
  ['### `stack.listen`', 'TcpListenOptions', 'options'],
  ['### `stack.connect`', 'TcpConnectOptions', 'options'],
  ['### `stack.udp`', 'UdpOptions', 'ip/udp_socket'],
  ['### `udp.sessions`', 'UdpSessionsOptions', 'ip/udp_sessions'],
  ['### `stack.ping`', 'PingOptions', 'ip/ping'],
];

t.test('the tables have each option, and no other', async (t) => {
  for (const [heading, type, file] of TABLES) {
    const path = `${root}/src/netstack/${file}.ts`;
    const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ESNext);
    const found = source.statements.filter(ts.isInterfaceDeclaration).find(({ name }) => name.text === type)!;
    const names = found.members.map((member) => (member.name as ts.Identifier).text);
    t.same(
      rows(heading).map(([name]) => name!.replaceAll('`', '')),
      names,
      type,
    );
  }
});

t.test('their defaults are those of the code', async (t) => {
  const MiB = 1 << 20;
  const digits = (value: number): string => String(value).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
  const { firstPort, lastPort } = NETSTACK_TCP;
  for (const [heading, name, expected] of [
    ['### `Netstack.open`', 'sendBuffer', `${NETSTACK_TCP.sendBufferMost / MiB} MiB`],
    ['### `Netstack.open`', 'receiveBuffer', `${NETSTACK_TCP.receiveBufferMost / MiB} MiB`],
    ['### `Netstack.open`', 'receiveBudget', `${NETSTACK_TCP.receiveBudget / MiB} MiB`],
    ['### `Netstack.open`', 'maxConnections', digits(NETSTACK_TCP.mostConnections)],
    ['### `stack.listen`', 'backlog', digits(NETSTACK_TCP.backlog)],
    ['### `stack.connect`', 'localPort', `one of ${digits(firstPort)} to ${digits(lastPort)}`],
    ['### `stack.connect`', 'keepAliveInitialDelay', `${digits(NETSTACK_TCP.keepAliveTime)} ms`],
    ['### `udp.sessions`', 'idleTimeout', `${digits(NETSTACK_UDP.idleTimeout)} ms`],
    ['### `udp.sessions`', 'limit', digits(NETSTACK_UDP.sessions)],
    ['### `stack.ping`', 'size', digits(NETSTACK_ICMP.pingSize)],
    ['### `stack.ping`', 'timeout', `${digits(NETSTACK_ICMP.pingTimeout)} ms`],
  ] as const) {
    t.equal(rows(heading).find(([cell]) => cell === `\`${name}\``)?.[1], expected, name);
  }
});

t.test('the files that implement and test RFCs are there', async (t) => {
  const table = rows('## RFCs').filter((cells) => cells.length === 4);
  t.ok(table.length > 25, `${table.length} rows`);
  for (const [rfc, , where, tested] of table) {
    for (const [folder, cell] of [
      ['src/netstack', where!],
      ['test/netstack', tested!],
    ] as const) {
      const names = [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
      t.ok(names.length > 0, `${rfc} names a file`);
      for (const name of names)
        t.ok(existsSync(`${root}/${/^(native|test|src)\//.test(name) ? '' : `${folder}/`}${name}`), `${rfc}: ${name}`);
    }
  }
});
