/** The charts of the tunnel's race: bars per contender, latency curves, loss over load. */
import type { Profile } from '../heats.js';
import { barChart, latencyChart, lines, type Bar, type Chart } from './charts.js';
import { tables, type Report } from './report.js';

function lossChart(report: Report): Chart[] {
  const all = tables(report);
  const loads = [50, 80, 90, 100] as const;
  const found = report.contenders.flatMap(({ name }) => {
    const points = loads.flatMap((load) => {
      const row = all
        .find(({ profile, figure }) => profile === 'tso' && figure === `loss${load}`)
        ?.rows.find(({ contender }) => contender === name);
      return row ? [[load, row.median] as const] : [];
    });
    return points.length > 1 ? [{ name, points }] : [];
  });
  if (found.length === 0) return [];
  const title = 'Loss over offered load';
  const svg = lines(
    report.race,
    title,
    found,
    { type: 'value', name: '% of what straight UDP carries', min: 50, max: 100 },
    { type: 'value', name: '% lost', min: 0 },
  );
  return [{ name: 'loss', title, svg }];
}

export function tunnelCharts(report: Report): Chart[] {
  const tcp = (profile: Profile): Bar[] => {
    const row = tables(report).find((each) => each.profile === profile && each.figure === 'tcp')?.rows[0];
    return row ? [{ label: 'kernel TCP', value: row.median, digits: 2 }] : [];
  };
  return [
    ...barChart(report, 'tso', 'plain'),
    ...barChart(report, 'tso', 'segmented', tcp('tso')),
    ...barChart(report, 'noTso', 'plain'),
    ...barChart(report, 'noTso', 'segmented', tcp('noTso')),
    ...barChart(report, 'tso', 'ownCost'),
    ...barChart(report, 'tso', 'burstyOwnCost'),
    ...barChart(report, 'tso', 'small'),
    ...barChart(report, 'tso', 'imix'),
    ...barChart(report, 'tso', 'wireGuard'),
    ...latencyChart(report, 'idle', 'Round trip of 100 bytes, nothing else on the path'),
    ...latencyChart(report, 'loaded', 'Round trip of 100 bytes beside half the load of straight UDP'),
    ...lossChart(report),
  ];
}
