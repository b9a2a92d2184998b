/** One page with everything, charts inside: no script, nothing to fetch. */
import { judgedGoals, noise, subject, tables, type Report } from './report.js';

const STYLE = `
  body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: #1f2733; max-width: 880px;
    margin: 48px auto; padding: 0 24px; }
  h1 { font-size: 28px; margin: 0 0 8px; } h2 { font-size: 20px; margin: 48px 0 12px; } p { color: #52606f; }
  figure { margin: 32px 0; } svg { max-width: 100%; height: auto; }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
  th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid #e6eaef; } th { font-weight: 600; }
  th:first-child, td:first-child { text-align: left; padding-left: 0; }
  .met { color: #2c7a4b; } .missed { color: #c0392b; font-weight: 600; } .unclear { color: #8a6d1a; }
  details { margin: 12px 0; } summary { cursor: pointer; }`;

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  return `<table><thead>${line(head, 'th')}</thead><tbody>${rows.map((row) => line(row, 'td')).join('')}</tbody></table>`;
}

export function htmlReport(report: Report): string {
  const { race } = report;
  const goals = judgedGoals(report).map(({ goal, median, spread, verdict }) => [
    escape(goal.title),
    median.toFixed(goal.digits),
    spread.map((value) => value.toFixed(goal.digits)).join(' to '),
    `${goal.atLeast ? '≥' : '≤'} ${goal.goal}`,
    `<span class="${verdict}">${verdict}</span>`,
  ]);
  const figures = tables(report).map(({ title, unit, digits, rows }) => {
    const body = rows.map(({ contender, median, least, most, ratio }) => [
      escape(contender),
      median.toFixed(digits),
      `${least.toFixed(digits)} to ${most.toFixed(digits)}`,
      ratio?.toFixed(2) ?? '',
    ]);
    const head = ['', unit, 'spread', `/ ${race.yardstick.name}`];
    return `<details><summary>${escape(title)}</summary>${table(head, body)}</details>`;
  });
  const absent = [
    ...report.missing.map(({ name, reason }) => `<li>${escape(name)}: ${escape(reason)}</li>`),
    ...report.results.failures.map(
      ({ contender, heat, reason }) => `<li>${escape(contender)} failed in “${escape(heat)}”: ${escape(reason)}</li>`,
    ),
  ];
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>guise: benchmark</title><style>${STYLE}</style>
<h1>${escape(race.title)}</h1>
<p>${escape(subject(report))}. ${escape(noise(report))}.</p>
<h2>Goals</h2>
${table(["medians of the rounds' ratios", '', 'spread', 'goal', ''], goals)}
<h2>Charts</h2>
${race
  .charts(report)
  .map(({ svg }) => `<figure>${svg}</figure>`)
  .join('\n')}
<h2>All figures</h2>
${figures.join('\n')}
<h2>How each was set up</h2>
${table(
  ['', ''],
  report.contenders.map(({ name, tuning }) => [escape(name), escape(tuning)]),
)}
${absent.length > 0 ? `<h2>Not raced</h2><ul>${absent.join('')}</ul>` : ''}
</html>
`;
}
