import { judgedGoals, noise, subject, tables, type Report } from './report.js';
import { terminalTable } from './table.js';

const MARKS = { met: 'met', missed: 'MISSED', unclear: 'unclear' } as const;

/** Every figure as a table, then the goals. */
export function terminalReport(report: Report): string {
  const parts = [subject(report), noise(report)];
  const { race } = report;
  for (const { title, unit, digits, rows } of tables(report)) {
    const lines = rows.map(({ contender, median, least, most, ratio }) => [
      contender,
      median.toFixed(digits),
      `${least.toFixed(digits)} to ${most.toFixed(digits)}`,
      ratio?.toFixed(2) ?? '',
    ]);
    parts.push(`${title}\n${terminalTable(['', unit, 'spread', `/ ${race.yardstick.name}`], lines)}`);
  }
  const goals = judgedGoals(report).map(({ goal, median, spread, verdict }) => [
    goal.title,
    median.toFixed(goal.digits),
    spread.map((value) => value.toFixed(goal.digits)).join(' to '),
    `${goal.atLeast ? '>=' : '<='} ${goal.goal}`,
    MARKS[verdict],
  ]);
  parts.push(terminalTable(["goals: medians of the rounds' ratios", '', 'spread', 'goal', ''], goals));
  for (const { name, reason } of report.missing) parts.push(`not raced: ${name}, ${reason}`);
  for (const { contender, heat, profile, reason } of report.results.failures) {
    parts.push(`failed: ${contender} in "${heat}" (${race.profiles[profile]!.title}): ${reason}`);
  }
  return `${parts.join('\n\n')}\n`;
}
