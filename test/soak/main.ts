/** `npm run soak`: what breaks a tunnel, again and again, under load that is checked. */
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { SingleBar } from 'cli-progress';
import yargs from 'yargs';
import { describeMachine } from '../../bench/machine.js';
import { faultsOn } from '../net/faults.js';
import { noRig } from '../net/rig.js';
import { markdownReport, terminalReport } from './report.js';
import { measured, random } from './schedule.js';
import { soak } from './soak.js';

/** Whether all went well. */
async function main(signal: AbortSignal): Promise<boolean> {
  const args = await yargs(process.argv.slice(2))
    .scriptName('npm run soak --')
    .usage('$0 [--minutes N]\n\nBreaks the network and the programs around a tunnel, and checks what it carries.')
    .options({
      minutes: {
        type: 'number',
        requiresArg: true,
        default: 3,
        describe: 'how long; each fault has its turn once at least',
      },
      seed: { type: 'number', requiresArg: true, describe: 'of the schedule', defaultDescription: 'a random one' },
      each: {
        type: 'number',
        requiresArg: true,
        conflicts: ['seed'],
        describe: 'instead: each fault so often in turn, for as long as the README measures it',
      },
      device: { choices: ['packet', 'tun'] as const, default: 'packet' as const, describe: 'what segments go through' },
      markdown: { type: 'string', requiresArg: true, describe: 'write the tables to this file too' },
    })
    .strict()
    .parseAsync();
  const seed = args.seed ?? randomInt(2 ** 32);
  const { device } = args;
  const what = args.each === undefined ? `--minutes ${args.minutes} --seed ${seed}` : `--each ${args.each}`;
  const command = `npm run soak -- ${what} --device ${device}`;
  process.stderr.write(`${command}\n`);
  const bar = new SingleBar({
    format: '{bar} {percentage} %   {fault}',
    clearOnComplete: true,
    hideCursor: true,
    noTTYOutput: true,
    notTTYSchedule: 15_000,
    stream: process.stderr,
  });
  using _bar = { [Symbol.dispose]: () => bar.stop() };
  bar.start(100, 0, { fault: 'setting up' });
  const report = await soak({
    device,
    turns:
      args.each === undefined
        ? random(faultsOn(device), seed, args.minutes * 60_000)
        : measured(faultsOn(device), args.each),
    signal,
    onTurn: ({ fault, done }) => bar.update(Math.floor(done * 100), { fault: fault.name }),
  });
  bar.stop();
  const run = { report, machine: describeMachine(), command };
  process.stdout.write(terminalReport(run));
  if (args.markdown !== undefined) writeFileSync(args.markdown, markdownReport(run));
  return report.problems.length === 0;
}

const reason = noRig();
if (reason) {
  process.stderr.write(`The soak makes network namespaces: ${reason}.\n`);
  process.exit(1);
}
const controller = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => controller.abort());
try {
  if (!(await main(controller.signal))) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`\nsoak: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
