/** Charts of a run as static SVG: bars per contender, latency curves, loss over load. */
import * as echarts from 'echarts';
import { GUISE, STRAIGHT_UDP } from '../contenders.js';
import { PROFILES, type FigureId, type Profile } from '../heats.js';
import { tables, type Report, type Table } from './report.js';

export interface Chart {
  /** For a file name. */
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

const WIDTH = 760;
const FONT = 'system-ui, -apple-system, sans-serif'; // no quotes: echarts does not escape them
const INK = '#1f2733';
const FAINT = '#d9dee5';
/** guise stands out; the yardstick is dark, the others are quiet. */
const COLORS: Record<string, string> = {
  [GUISE]: '#e4572e',
  [STRAIGHT_UDP]: '#3c4a5d',
  'kernel TCP': '#3c4a5d',
  phantun: '#c2a878',
  udp2raw: '#a79bbd',
  mimic: '#7fa08a',
};

function colorOf(contender: string): string {
  return COLORS[contender] ?? '#b9c0c9';
}

function render(option: echarts.EChartsCoreOption, height: number): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: FONT, color: INK, fontSize: 13 },
    ...option,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

interface Bar {
  readonly label: string;
  readonly value: number;
  readonly digits: number;
}

function bars(title: string, unit: string, rows: readonly Bar[]): string {
  const shown = [...rows].reverse();
  return render(
    {
      title: {
        text: title,
        subtext: unit,
        left: 0,
        textStyle: { fontSize: 16, color: INK },
        subtextStyle: { color: INK },
      },
      grid: { left: 170, right: 80, top: 58, bottom: 12 },
      xAxis: { type: 'value', axisLabel: { show: false }, splitLine: { show: false } },
      yAxis: {
        type: 'category',
        data: shown.map(({ label }) => label),
        axisTick: { show: false },
        axisLine: { show: false },
        axisLabel: { color: INK, fontSize: 13 },
      },
      series: [
        {
          type: 'bar',
          barWidth: 20,
          data: shown.map(({ label, value }) => ({
            value,
            itemStyle: { color: colorOf(label), borderRadius: [0, 3, 3, 0] },
          })),
          label: {
            show: true,
            position: 'right',
            color: INK,
            fontSize: 13,
            formatter: ({ dataIndex }: { dataIndex: number }) =>
              shown[dataIndex]!.value.toFixed(shown[dataIndex]!.digits),
          },
        },
      ],
    },
    80 + shown.length * 32,
  );
}

function barChart(all: readonly Table[], profile: Profile, figure: FigureId, extra: readonly Bar[] = []): Chart[] {
  const table = all.find((each) => each.profile === profile && each.figure === figure);
  if (!table) return [];
  const title = `${table.title} (${PROFILES[profile].title})`;
  const rows = table.rows.map(({ contender, median }) => ({ label: contender, value: median, digits: table.digits }));
  return [{ name: `${figure}-${profile}`, title, svg: bars(title, table.unit, [...rows, ...extra]) }];
}

interface Line {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

function lines(title: string, all: readonly Line[], x: object, y: object): string {
  return render(
    {
      title: { text: title, left: 0, textStyle: { fontSize: 16, color: INK } },
      legend: { top: 30, left: 0, icon: 'roundRect', itemHeight: 4, itemGap: 24, textStyle: { color: INK } },
      grid: { left: 64, right: 24, top: 76, bottom: 48 },
      xAxis: { nameLocation: 'middle', nameGap: 30, axisLine: { lineStyle: { color: INK } }, ...x },
      yAxis: { nameLocation: 'middle', nameGap: 46, splitLine: { lineStyle: { color: FAINT } }, ...y },
      series: all.map(({ name, points }) => ({
        name,
        type: 'line',
        symbolSize: 5,
        data: points.map((point) => [...point]),
        lineStyle: { width: name === GUISE ? 3 : 2 },
        color: colorOf(name),
        z: name === GUISE ? 3 : 2,
      })),
    },
    360,
  );
}

/** Percentiles as "nines", so that the slow tail has room. */
function latencyChart({ results }: Report, name: string, title: string): Chart[] {
  const curves = results.curves(name);
  if (curves.length === 0) return [];
  const nines = (p: number): number => -Math.log10(1 - Math.min(p, 0.9999));
  const all = curves.map(({ contender, points }) => ({
    name: contender,
    points: points.filter(([p]) => p >= 0.1 && p < 1).map(([p, value]) => [nines(p), value] as const),
  }));
  const label = (value: number): string =>
    `${(100 * (1 - 10 ** -value)).toFixed(value > 1 ? Math.round(value) - 2 : 0)} %`;
  const svg = lines(
    title,
    all,
    { type: 'value', name: 'of the round trips', min: 0, max: 4, interval: 1, axisLabel: { formatter: label } },
    { type: 'log', name: 'µs' },
  );
  return [{ name: `latency-${name}`, title, svg }];
}

function lossChart(all: readonly Table[], report: Report): Chart[] {
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
    title,
    found,
    { type: 'value', name: '% of what straight UDP carries', min: 50, max: 100 },
    { type: 'value', name: '% lost', min: 0 },
  );
  return [{ name: 'loss', title, svg }];
}

export function charts(report: Report): Chart[] {
  const all = tables(report);
  const tcp = (profile: Profile): Bar[] => {
    const row = all.find((each) => each.profile === profile && each.figure === 'tcp')?.rows[0];
    return row ? [{ label: 'kernel TCP', value: row.median, digits: 2 }] : [];
  };
  return [
    ...barChart(all, 'tso', 'plain'),
    ...barChart(all, 'tso', 'segmented', tcp('tso')),
    ...barChart(all, 'noTso', 'plain'),
    ...barChart(all, 'noTso', 'segmented', tcp('noTso')),
    ...barChart(all, 'tso', 'ownCost'),
    ...barChart(all, 'tso', 'burstyOwnCost'),
    ...barChart(all, 'tso', 'small'),
    ...barChart(all, 'tso', 'imix'),
    ...barChart(all, 'tso', 'wireGuard'),
    ...latencyChart(report, 'idle', 'Round trip of 100 bytes, nothing else on the path'),
    ...latencyChart(report, 'loaded', 'Round trip of 100 bytes beside half the load of straight UDP'),
    ...lossChart(all, report),
  ];
}
