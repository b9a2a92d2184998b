/** `npm run bench`: everybody on the same path in turns, medians and ratios of one run. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SingleBar } from 'cli-progress';
import yargs from 'yargs';
import { noRig, Rig } from '../test/net/rig.js';
import { CONTENDERS, GUISE, ON_TUN, STRAIGHT_UDP, type Contender } from './contenders.js';
import { readCpu, since } from './cpu.js';
import { describeMachine } from './machine.js';
import { HEATS, PROFILES, takesPart, type Context, type Heat, type Profile } from './heats.js';
import type { Track } from './measures.js';
import { charts } from './report/charts.js';
import { htmlReport } from './report/html.js';
import { markdownReport } from './report/markdown.js';
import type { Report } from './report/report.js';
import { terminalReport } from './report/terminal.js';
import { Results } from './results.js';

const COMPARED = [STRAIGHT_UDP, GUISE, ON_TUN];

interface Plan {
  readonly quick: boolean;
  readonly rounds: number;
  readonly seconds: number;
  readonly heats: readonly Heat[];
  readonly profiles: readonly Profile[];
  readonly contenders: readonly Contender[];
}

interface Entry {
  readonly profile: Profile;
  readonly heat: Heat;
  readonly contender: Contender;
}

function entries({ quick, heats, profiles, contenders }: Plan): Entry[] {
  const all = profiles.flatMap((profile) =>
    heats
      .filter((heat) => heat.profiles.includes(profile))
      .flatMap((heat) =>
        contenders.filter(({ name }) => takesPart(heat, name)).map((contender) => ({ profile, heat, contender })),
      ),
  );
  // In a hurry only what the goals compare.
  const matters = ({ profile, heat, contender: { name } }: Entry): boolean =>
    (profile === 'tso' && heat.quick === 'everybody') || COMPARED.includes(name);
  return quick ? all.filter(matters) : all;
}

class Race implements AsyncDisposable {
  readonly #plan: Plan;
  readonly #results: Results;
  readonly #tracks = new Map<string, Track>();
  readonly #rigs: Rig[] = [];
  readonly #out = new Set<string>();

  constructor(plan: Plan, results: Results) {
    this.#plan = plan;
    this.#results = results;
  }

  /** Runs one entry; what a contender fails in, or cannot be set up for, it is out of, with the reason. */
  async run({ profile, heat, contender }: Entry, round: number, context: Context): Promise<void> {
    const key = `${profile} ${contender.name}`;
    const inHeat = `${key} ${heat.name}`;
    if (this.#out.has(key) || this.#out.has(inHeat)) return;
    try {
      const values = heat.fresh
        ? await this.#runFresh(profile, contender, (track) => heat.run(track, context))
        : await heat.run(await this.#track(profile, contender), context);
      for (const [figure, value] of Object.entries(values)) {
        this.#results.add({ profile, figure: figure as never, contender: contender.name, round, value });
      }
    } catch (error) {
      const reason = (error as Error).message.split('\n')[0]!;
      this.#results.failures.push({ contender: contender.name, heat: heat.name, profile, reason });
      this.#out.add(this.#tracks.has(key) ? inHeat : key);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#rigs.map((rig) => rig[Symbol.asyncDispose]()));
  }

  async #track(profile: Profile, contender: Contender): Promise<Track> {
    const key = `${profile} ${contender.name}`;
    const known = this.#tracks.get(key);
    if (known) return known;
    const rig = await Rig.create(PROFILES[profile].rig);
    this.#rigs.push(rig);
    const track = { rig, way: await contender.start(rig), seconds: this.#plan.seconds };
    this.#tracks.set(key, track);
    return track;
  }

  async #runFresh<T>(profile: Profile, contender: Contender, run: (track: Track) => Promise<T>): Promise<T> {
    await using rig = await Rig.create(PROFILES[profile].rig);
    return await run({ rig, way: await contender.start(rig), seconds: this.#plan.seconds });
  }
}

async function race(plan: Plan, signal: AbortSignal): Promise<Report> {
  const results = new Results(plan.rounds);
  await using running = new Race(plan, results);
  const all = entries(plan);
  const bar = new SingleBar({
    format: '{bar} {percentage} %, {left} left   round {round}: {what}',
    etaBuffer: all.length,
    clearOnComplete: true,
    hideCursor: true,
    noTTYOutput: true,
    notTTYSchedule: 15_000,
    stream: process.stderr,
  });
  const before = readCpu();
  const began = Date.now();
  using _bar = { [Symbol.dispose]: () => bar.stop() };
  bar.start(all.length * plan.rounds, 0, { left: '?', round: 1, what: 'setting up' });
  for (let round = 0; round < plan.rounds; round++) {
    let straightRate = 0;
    for (const [index, entry] of all.entries()) {
      signal.throwIfAborted();
      const done = round * all.length + index;
      const minutesLeft = (((Date.now() - began) / done) * (all.length * plan.rounds - done)) / 60_000;
      const left = done === 0 ? '?' : `${Math.ceil(minutesLeft)} min`;
      bar.update(done, {
        left,
        round: round + 1,
        what: `${entry.contender.name}, ${entry.heat.name}, ${PROFILES[entry.profile].title}`,
      });
      const context: Context = {
        get straightRate() {
          return straightRate;
        },
        set straightRate(value) {
          straightRate = value;
        },
        curve: (name, points) => results.addCurve({ name, contender: entry.contender.name, points }),
      };
      await running.run(entry, round, context);
    }
  }
  const seconds = (Date.now() - began) / 1000;
  return {
    results,
    machine: describeMachine(),
    seconds,
    secondsEach: plan.seconds,
    stolen: since(before).stolen / seconds,
    contenders: plan.contenders,
    missing: CONTENDERS.flatMap((each) => {
      const reason = each.missing();
      return reason ? [{ name: each.name, reason }] : [];
    }),
  };
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
      only: { type: 'string', requiresArg: true, describe: 'only heats whose name matches this regular expression' },
    })
    .epilogue('Contenders are found on PATH or by PHANTUN_BIN (a folder), UDP2RAW and MIMIC (programs).')
    .strict()
    .parseAsync();
  const plan: Plan = {
    quick: args.quick,
    rounds: args.rounds ?? (args.quick ? 3 : 5),
    seconds: args.quick ? 0.8 : 2,
    heats: HEATS.filter(({ name, quick }) => (args.only ? new RegExp(args.only).test(name) : !args.quick || quick)),
    profiles: args.quick ? ['tso', 'noTso'] : ['tso', 'noTso', 'jumbo', 'strict'],
    contenders: CONTENDERS.filter((each) => each.missing() === undefined),
  };
  const report = await race(plan, signal);
  process.stdout.write(terminalReport(report));
  const folder = fileURLToPath(new URL('../../bench/', import.meta.url));
  writeFileSync(`${folder}report.html`, htmlReport(report));
  writeFileSync(
    `${folder}report.jsonl`,
    report.results.samples.map((sample) => `${JSON.stringify(sample)}\n`).join(''),
  );
  let written = 'bench/report.html, bench/report.jsonl';
  if (!args.quick && !args.only) {
    mkdirSync(`${folder}charts`, { recursive: true });
    for (const { name, svg } of charts(report)) writeFileSync(`${folder}charts/${name}.svg`, svg);
    writeFileSync(`${folder}RESULTS.md`, markdownReport(report));
    written += ', bench/RESULTS.md with bench/charts';
  }
  process.stdout.write(`\nwritten: ${written}\n`);
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
