/**
 * NAT and forwarding rules in one nftables table that belongs to a child `nft -i`: the kernel drops a table flagged
 * `owner` when its owner's socket closes, and the child ends when its standard input does, however this process ends.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { GuiseError } from '../errors.js';
import { run } from './command.js';
import { quote, type Janitor } from './janitor.js';

export interface FirewallOptions {
  readonly role: 'client' | 'server';
  readonly tun: string;
  readonly peer4: string;
  readonly peer6?: string;
  /** The server's TCP port. */
  readonly port?: number;
}

/** The table as `nft -f` takes it. */
export function rules({ role, tun, peer4, peer6, port }: FirewallOptions, flags = ''): string {
  const nat =
    role === 'client'
      ? [
          'chain postrouting {',
          '  type nat hook postrouting priority srcnat; policy accept;',
          `  oifname != "${tun}" ip saddr ${peer4} masquerade`,
          ...(peer6 ? [`  oifname != "${tun}" ip6 saddr ${peer6} masquerade`] : []),
          '}',
        ]
      : [
          'chain prerouting {',
          '  type nat hook prerouting priority dstnat; policy accept;',
          `  iifname != "${tun}" fib daddr type local meta nfproto ipv4 tcp dport ${port} dnat ip to ${peer4}`,
          ...(peer6
            ? [`  iifname != "${tun}" fib daddr type local meta nfproto ipv6 tcp dport ${port} dnat ip6 to ${peer6}`]
            : []),
          '}',
        ];
  return [
    `table inet ${tableName(tun)} {`,
    ...[
      ...(flags ? [`flags ${flags}`] : []),
      ...nat,
    ].map((line) => `  ${line}`),
    '}',
  ].join('\n');
}

export function tableName(tun: string): string {
  return `guise_${tun.replaceAll(/[^A-Za-z0-9_]/g, '_')}`;
}

export interface Firewall extends AsyncDisposable {
  /** Chains of others that would have dropped our packets and now have a rule for them. */
  readonly opened: readonly string[];
}

/** Installs the rules. What must be undone by hand is given to the janitor. */
export async function installFirewall(options: FirewallOptions, janitor: Janitor): Promise<Firewall> {
  const table = await holdTable(options);
  try {
    return { opened: await openForeignChains(options.tun, janitor), [Symbol.asyncDispose]: table.dispose };
  } catch (error) {
    await table.dispose();
    throw error;
  }
}

async function holdTable(options: FirewallOptions): Promise<{ dispose: () => Promise<void> }> {
  const child = spawn('nft', ['-i'], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const failed = once(child, 'error').then(([error]) => {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const mend = missing ? 'install nftables, or use --no-firewall and set the rules by other means' : String(error);
    throw new GuiseError('ERR_GUISE_SETUP', `The firewall cannot be set up: ${mend}.`, { cause: error });
  });
  let complaint = '';
  child.stderr.on('data', (data: Buffer) => (complaint += data.toString()));
  child.stdin.on('error', () => {}); // its exit tells why
  // One line, since nft -i takes a command a line; a listing behind it shows when it is done.
  const text = rules(options, 'owner').replaceAll(/(?<=[{;])\n\s*/g, ' ').replaceAll(/\n\s*/g, '; ');
  child.stdin.write(`add ${text}\nlist tables inet\n`);
  const name = tableName(options.tun);
  const done = new Promise<boolean>((resolve) => {
    let output = '';
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      if (new RegExp(`table inet ${name}\\n`).test(output)) resolve(true);
    });
    child.stderr.on('data', () => resolve(false));
    child.once('exit', () => resolve(false));
  });
  const dispose = async (): Promise<void> => {
    if (child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.ref();
    child.stdin.end();
    await ended;
  };
  if (!(await Promise.race([done, failed]))) {
    await dispose();
    const said = complaint.split('\n').find((line) => line.includes('rror')) ?? complaint.split('\n')[0] ?? '';
    const mend = 'run as root or with CAP_NET_ADMIN, or use --no-firewall';
    throw new GuiseError('ERR_GUISE_SETUP', `nft refused the rules (${said.trim()}): ${mend}.`);
  }
  failed.catch(() => {});
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as { unref(): void }).unref();
  return { dispose };
}

interface Chain {
  family: string;
  table: string;
  name: string;
  type?: string;
  hook?: string;
  policy?: string;
}

/**
 * A chain of ours cannot overrule a drop in somebody else's (Docker, ufw, firewalld): put a rule for our interface in
 * front of theirs.
 */
async function openForeignChains(tun: string, janitor: Janitor): Promise<string[]> {
  const listing = JSON.parse(await run('nft', ['-j', 'list', 'chains'])) as { nftables: { chain?: Chain }[] };
  const closed = listing.nftables
    .flatMap(({ chain }) => (chain ? [chain] : []))
    .filter(({ hook, type, policy }) => hook === 'forward' && type === 'filter' && policy === 'drop');
  for (const { family, table, name } of closed) {
    for (const direction of ['iifname', 'oifname']) {
      const rule = `insert rule ${family} ${table} ${name} ${direction} "${tun}" accept comment "guise ${tun}"`;
      const handle = /# handle (\d+)/.exec(await run('nft', ['-e', '-a', '-f', '-'], `${rule}\n`))?.[1];
      if (handle) janitor.add(['nft', 'delete', 'rule', family, table, name, 'handle', handle].map(quote).join(' '));
    }
  }
  return closed.map(({ family, table, name }) => `${family} ${table} ${name}`);
}
