import Table from 'cli-table3';
import { PROFILES } from '../heats.js';
import { judgedGoals, noise, subject, tables, type Report } from './report.js';

const MARKS = { met: 'met', missed: 'MISSED', unclear: 'unclear' } as const;
const PLAIN = {
  top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '',
  'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ',
};

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const colAligns = head.map((_, index) => (index === 0 ? 'left' as const : 'right' as const));
  const made = new Table({
    head: [...head], colAligns, chars: PLAIN, style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  made.push(...rows.map((row) => [...row]));
  return made.toString().split('\n').map((line) => line.trimEnd()).join('\n');
}

/** Every figure as a table, then the goals. */
export function terminalReport(report: Report): string {
  const parts = [subject(report), noise(report)];
  for (const { profile, title, unit, digits, rows } of tables(report)) {
    const lines = rows.map(({ contender, median, least, most, ratio }) => [
      contender, median.toFixed(digits), `${least.toFixed(digits)} to ${most.toFixed(digits)}`, ratio?.toFixed(2) ?? '',
    ]);
    parts.push(`${title} (${PROFILES[profile].title})\n${table(['', unit, 'spread', '/ straight'], lines)}`);
  }
  const goals = judgedGoals(report).map(({ goal, median, spread, verdict }) => [
    goal.title, median.toFixed(goal.digits), spread.map((value) => value.toFixed(goal.digits)).join(' to '),
    `${goal.atLeast ? '>=' : '<='} ${goal.goal}`, MARKS[verdict],
  ]);
  parts.push(table(['goals: medians of the rounds\' ratios', '', 'spread', 'goal', ''], goals));
  for (const { name, reason } of report.missing) parts.push(`not raced: ${name}, ${reason}`);
  for (const { contender, heat, profile, reason } of report.results.failures) {
    parts.push(`failed: ${contender} in "${heat}" (${PROFILES[profile].title}): ${reason}`);
  }
  return `${parts.join('\n\n')}\n`;
}
