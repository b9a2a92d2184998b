/** Charts of a run as static SVG: bars per contender, lines, latency curves. */
import * as echarts from 'echarts';
import type { RaceFacts } from '../race.js';
import { tables, type Report } from './report.js';

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
const OURS = '#e4572e';
const YARDSTICK = '#3c4a5d';

/** Ours stands out; the yardstick is dark, the others are quiet. */
function colorOf(race: RaceFacts, contender: string): string {
  if (contender === race.ours) return OURS;
  return contender === race.yardstick.name ? YARDSTICK : (race.colors[contender] ?? '#b9c0c9');
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

export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly digits: number;
}

function bars(race: RaceFacts, title: string, unit: string, rows: readonly Bar[]): string {
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
            itemStyle: { color: colorOf(race, label), borderRadius: [0, 3, 3, 0] },
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

/** A figure of everybody, and bars that are no contender's. */
export function barChart(report: Report, profile: string, figure: string, extra: readonly Bar[] = []): Chart[] {
  const table = tables(report).find((each) => each.profile === profile && each.figure === figure);
  if (!table) return [];
  const { title, unit, digits } = table;
  const rows = table.rows.map(({ contender, median }) => ({ label: contender, value: median, digits }));
  return [{ name: `${figure}-${profile}`, title, svg: bars(report.race, title, unit, [...rows, ...extra]) }];
}

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

/** A line a contender; `x` and `y` are axes of echarts. */
export function lines(race: RaceFacts, title: string, all: readonly Line[], x: object, y: object): string {
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
        lineStyle: { width: name === race.ours ? 3 : 2 },
        color: colorOf(race, name),
        z: name === race.ours ? 3 : 2,
      })),
    },
    360,
  );
}

/** Percentiles as "nines", so that the slow tail has room. */
export function latencyChart({ race, results }: Report, name: string, title: string): Chart[] {
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
    race,
    title,
    all,
    { type: 'value', name: 'of the round trips', min: 0, max: 4, interval: 1, axisLabel: { formatter: label } },
    { type: 'log', name: 'µs' },
  );
  return [{ name: `latency-${name}`, title, svg }];
}
