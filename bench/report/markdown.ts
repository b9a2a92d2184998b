/** The run that is committed. */
import { judgedGoals, noise, subject, tables, type Report } from './report.js';
import { markdownTable } from './table.js';

export function markdownReport(report: Report): string {
  const { race } = report;
  const goals = judgedGoals(report).map(({ goal, median, spread, verdict }) => [
    goal.title,
    median.toFixed(goal.digits),
    spread.map((value) => value.toFixed(goal.digits)).join(' to '),
    `${goal.atLeast ? '≥' : '≤'} ${goal.goal}`,
    verdict === 'missed' ? '**missed**' : verdict,
  ]);
  const figures = tables(report).map(({ title, unit, digits, rows }) => {
    const body = rows.map(({ contender, median, least, most, ratio }) => [
      contender,
      median.toFixed(digits),
      `${least.toFixed(digits)} to ${most.toFixed(digits)}`,
      ratio?.toFixed(2) ?? '',
    ]);
    return `### ${title}\n\n${markdownTable(['', unit, 'spread', `/ ${race.yardstick.name}`], body)}`;
  });
  const failures = report.results.failures.map(
    ({ contender, heat, reason }) => `- ${contender} in "${heat}": ${reason}\n`,
  );
  return `<!-- Written by \`npm run bench\`. -->
# One full run

${subject(report)}. ${noise(report)}.
Absolute figures belong to that machine; ratios of one run are what counts. "Unclear": the goal lies inside the spread.

${markdownTable(["goals: medians of the rounds' ratios", '', 'spread', 'goal', ''], goals)}

${race
  .charts(report)
  .map(({ name, title }) => `![${title}](charts/${name}.svg)`)
  .join('\n')}

## How each was set up

${markdownTable(
  ['', ''],
  report.contenders.map(({ name, tuning }) => [name, tuning]),
)}
${report.missing.map(({ name, reason }) => `\nNot raced: ${name}, ${reason}.`).join('')}
${failures.length > 0 ? `\nFailed:\n\n${failures.join('')}` : ''}
## All figures

${figures.join('\n\n')}
`;
}
