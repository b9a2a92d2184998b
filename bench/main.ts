/** `npm run bench`: everybody on the same path in turns, medians and ratios of one run. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import yargs from 'yargs';
import { noRig } from '../test/net/rig.js';
import { NETSTACK } from './netstack/netstack.js';
import { run, type Plan, type RaceFacts } from './race.js';
import { htmlReport } from './report/html.js';
import { markdownReport } from './report/markdown.js';
import type { Report } from './report/report.js';
import { terminalReport } from './report/terminal.js';
import { TUNNEL } from './tunnel.js';

/** A race, and where its reports go: a folder beside this file's source. */
interface Event {
  readonly facts: RaceFacts;
  readonly folder: string;
  readonly heats: readonly { readonly name: string; readonly quick?: unknown }[];
  readonly race: (plan: Plan, signal: AbortSignal) => Promise<Report>;
}

const EVENTS: readonly Event[] = [
  {
    facts: TUNNEL,
    folder: 'bench/',
    heats: TUNNEL.heats,
    race: (plan, signal) => run(TUNNEL, plan, signal),
  },
  {
    facts: NETSTACK,
    folder: 'bench/netstack/',
    heats: NETSTACK.heats,
    race: (plan, signal) => run(NETSTACK, plan, signal),
  },
];

function write(report: Report, folder: string, whole: boolean): string {
  const at = fileURLToPath(new URL(`../../${folder}`, import.meta.url));
  writeFileSync(`${at}report.html`, htmlReport(report));
  writeFileSync(`${at}report.jsonl`, report.results.samples.map((sample) => `${JSON.stringify(sample)}\n`).join(''));
  const written = `${folder}report.html, ${folder}report.jsonl`;
  if (!whole) return written;
  mkdirSync(`${at}charts`, { recursive: true });
  for (const { name, svg } of report.race.charts(report)) writeFileSync(`${at}charts/${name}.svg`, svg);
  writeFileSync(`${at}RESULTS.md`, markdownReport(report));
  return `${written}, ${folder}RESULTS.md with ${folder}charts`;
}

async function main(signal: AbortSignal): Promise<void> {
  const args = await yargs(process.argv.slice(2))
    .scriptName('npm run bench --')
    .usage('$0 [--quick]\n\nRaces guise against everybody who is here, on the same path in turns.')
    .options({
      quick: { type: 'boolean', default: false, describe: 'the main figures within three minutes' },
      rounds: {
        type: 'number',
        requiresArg: true,
        describe: 'how often each has its turn',
        defaultDescription: '5, quick 3',
      },
      only: {
        type: 'string',
        requiresArg: true,
        describe: 'only heats whose name, or `tunnel NAME` or `netstack NAME`, matches this regular expression',
      },
    })
    .epilogue(
      'Contenders are found on PATH or by PHANTUN_BIN (a folder), UDP2RAW and MIMIC (programs); for netstack ' +
        'scripts/netstack-anchors builds them and says their variables.',
    )
    .strict()
    .parseAsync();
  const only = args.only === undefined ? undefined : new RegExp(args.only);
  for (const { facts, folder, heats, race } of EVENTS) {
    const selected = heats.filter(({ name, quick }) =>
      only ? only.test(name) || only.test(`${facts.name} ${name}`) : !args.quick || quick,
    );
    if (selected.length === 0) continue;
    const names = new Set(selected.map(({ name }) => name));
    const plan: Plan = {
      quick: args.quick,
      rounds: args.rounds ?? (args.quick ? 3 : 5),
      seconds: args.quick ? 0.8 : 2,
      selects: (heat) => names.has(heat),
    };
    const report = await race(plan, signal);
    process.stdout.write(terminalReport(report));
    const written = write(report, folder, !args.quick && selected.length === heats.length);
    process.stdout.write(`\nwritten: ${written}\n`);
  }
}

const reason = noRig();
if (reason) {
  process.stderr.write(`The benchmark makes network namespaces: ${reason}.\n`);
  process.exit(1);
}
const controller = new AbortController();
const interrupt = (): void => controller.abort(new Error('interrupted'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
try {
  await main(controller.signal);
} catch (error) {
  process.stderr.write(`\nbench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
