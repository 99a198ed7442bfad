// A line chart of the last hour. The canvas is for eyes; a sentence says the same to screen readers.

import uPlot from 'uplot';
import { useEffect, useRef } from 'preact/hooks';

import { t } from '../i18n';
import type { History } from '../lib/history';
import { isDark } from '../theme';

export interface Line {
  column: string;
  label: string;
  color: string;  // Of a CSS variable.
  fill?: boolean;
}

const HEIGHT = 132;
// The cursors of all charts move together.
const sync = uPlot.sync('overview');
// A step of the chart is some seconds wide on screen; more paint would show nothing new.
const PAINT_MS = 5000;

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function clockText(seconds: number, locale: string, withSeconds: boolean): string {
  return new Date(seconds * 1000).toLocaleTimeString(locale, {
    hour: '2-digit', minute: '2-digit', hour12: false, ...(withSeconds ? { second: '2-digit' } : {}),
  });
}

type ChartProps = { history: History; lines: Line[]; format: (value: number) => string; title: string };

export function Chart({ history, lines, format, title }: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const paintedAt = useRef(0);
  const dark = isDark.value;
  const { locale } = t();

  const data = (): uPlot.AlignedData =>
    [history.times, ...lines.map(({ column }) => history.columns[column] ?? history.times.map(() => null))] as uPlot.AlignedData;

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const axis = { stroke: css('--muted'), grid: { stroke: css('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    plot.current = new uPlot(
      {
        width: element.clientWidth || 300,
        height: HEIGHT,
        cursor: { sync: { key: sync.key }, points: { size: 6 }, drag: { x: false, y: false } },
        legend: { show: false },
        padding: [8, 8, 0, 0],
        scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [
          { ...axis, size: 26, space: 70, values: (_plot, ticks) => ticks.map((tick) => clockText(tick, locale, false)) },
          { ...axis, size: 58, values: (_plot, ticks) => ticks.map((tick) => format(tick)) },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            label: line.label, stroke: css(line.color), width: 1.5, points: { show: false },
            ...(line.fill ? { fill: css(line.color + '-fill') } : {}),
          })),
        ],
        hooks: {
          setCursor: [
            (chart) => {
              const out = element.querySelector('.chart-tip');
              const at = chart.cursor.idx;
              if (!out) return;
              const time = at == null ? undefined : chart.data[0]?.[at];
              out.textContent = time === undefined || at == null ? '' : [
                clockText(time, locale, true),
                ...lines.map((line, index) => `${line.label} ${format(chart.data[index + 1]?.[at] ?? 0)}`),
              ].join('  ');
            },
          ],
        },
      },
      data(),
      element,
    );
    paintedAt.current = Date.now();
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [dark, locale]);

  useEffect(() => {
    if (Date.now() - paintedAt.current < PAINT_MS && history.times.length > 30) return;
    paintedAt.current = Date.now();
    plot.current?.setData(data());
  }, [history]);

  const first = lines[0];
  const known = (first ? history.columns[first.column] ?? [] : []).filter((value): value is number => value !== null);
  const summary = known.length === 0
    ? t().overview.noChart
    : t().overview.chartSummary(title, format(known[known.length - 1] ?? 0), format(Math.max(...known)));
  return (
    <figure class="chart">
      <div ref={host} class="chart-host" aria-hidden="true"><div class="chart-tip" /></div>
      <figcaption class="sr">{summary}</figcaption>
    </figure>
  );
}
