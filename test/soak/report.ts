/** The tables of a soak, for the terminal and for a file. */
import type { Machine } from '../../bench/machine.js';
import { markdownTable, terminalTable, type DrawTable } from '../../bench/report/table.js';
import { median } from '../../bench/statistics.js';
import type { SoakReport } from './soak.js';

interface Run {
  readonly report: SoakReport;
  readonly machine: Machine;
  /** The command line that repeats it. */
  readonly command: string;
}

function faults(draw: DrawTable, { faults }: SoakReport): string {
  const rows = faults.map(({ name, injected, recoveries }) => {
    const seconds = recoveries.length > 0 ? [median(recoveries), Math.max(...recoveries)] : [];
    const [middle = '', worst = ''] = seconds.map((value) => value.toFixed(2));
    return [name, `${injected}`, `${recoveries.length}`, middle, worst];
  });
  return draw(['fault', 'injected', 'survived', 'seconds to recover, median', 'worst'], rows);
}

function datagrams(draw: DrawTable, report: SoakReport): string {
  const { sent, lostInGaps, lostBeyond, corrupted, misdelivered, duplicated, reordered } = report;
  const rows = Object.entries({
    sent,
    'lost in gaps': lostInGaps,
    'lost beyond a gap': lostBeyond,
    corrupted,
    misdelivered,
    duplicated,
    reordered,
  });
  return draw(
    ['datagrams', ''],
    rows.map(([name, count]) => [name, `${count}`]),
  );
}

function uses(draw: DrawTable, { uses }: SoakReport): string {
  const mebibytes = (memory: number): string => (memory / 1024).toFixed(1);
  const rows = uses.map(({ part, processes, start, end, growth }) => [
    part,
    `${processes}`,
    ...[start, end, growth].map(({ memory }) => mebibytes(memory)),
    ...[start, end, growth].map(({ descriptors }) => `${descriptors}`),
  ]);
  const spans = ['at start', 'at end', 'most growth'];
  const heads = ['MiB', 'descriptors'].flatMap((what) => spans.map((span) => `${what} ${span}`));
  return draw(['', 'processes', ...heads], rows);
}

function subject({ report, machine }: Run): string {
  const { cores, processor, kernel, distribution, node } = machine;
  const minutes = (report.seconds / 60).toFixed(1);
  return (
    `${minutes} minutes on ${cores} cores (${processor}), Linux ${kernel}, ${distribution}, ` +
    `Node ${node}; strict conntrack, all in namespaces on the same cores`
  );
}

export function terminalReport(run: Run): string {
  const { report, command } = run;
  const tables = [faults, datagrams, uses].map((table) => table(terminalTable, report));
  return [subject(run), ...tables, ...report.problems, `again: ${command}`, ''].join('\n\n');
}

export function markdownReport(run: Run): string {
  const { report, command } = run;
  const [faultTable, datagramTable, useTable] = [faults, datagrams, uses].map((table) => table(markdownTable, report));
  const problems = report.problems.map((problem) => `- ${problem.replaceAll('\n', '\n  ')}\n`).join('');
  return `<!-- Written by \`${command}\`. -->
# \`${command}\`

${subject(run)}.
A fault is survived when all flows go both ways again within 30 s, for a second without a lost or late datagram. Seconds
count from the fault, or from its end if it lasts.

${faultTable}

${datagramTable}

Resident memory and descriptors of the first process at the start, of the last at the end; growth within one process.

${useTable}
${problems && `\n## Problems\n\n${problems}`}`;
}
