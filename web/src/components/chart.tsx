// A line chart of the last hour. The drawing is for eyes; a sentence says the same to screen readers.

import { signal } from '@preact/signals';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';

import { t } from '../i18n';
import { DASH } from '../lib/format';
import type { History } from '../lib/history';
import { linePieces, nearest, timeTicks, valueTicks } from '../lib/plot';

export interface Line {
  column: string;
  label: string;
  color: string;  // Of a CSS variable.
  fill?: boolean;
  hasGaps?: boolean;  // 0 is no value.
}

const HEIGHT = 104;
const LEFT = 58;
const RIGHT = 16;
const TOP = 8;
const FOOT = 22;
const TICK_WIDTH = 80;
const LABEL = 52;
// A step of the chart is some seconds wide on screen; more paint would show nothing new.
const PAINT_MS = 5000;

// Where the pointer is, in seconds since 1970: the same in all charts.
const pointed = signal<number | null>(null);

function clockText(seconds: number, locale: string, withSeconds: boolean): string {
  return new Date(seconds * 1000).toLocaleTimeString(locale, {
    hour: '2-digit', minute: '2-digit', hour12: false, ...(withSeconds ? { second: '2-digit' } : {}),
  });
}

type ChartProps = { history: History; lines: Line[]; format: (value: number) => string; title: string };

export function Chart({ history, lines, format, title }: ChartProps) {
  const host = useRef<HTMLElement>(null);
  const [outer, setOuter] = useState(0);
  const drawn = useRef({ history, at: 0 });
  const { locale, overview: texts } = t();

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setOuter(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  if (Date.now() - drawn.current.at > PAINT_MS || drawn.current.history.times.length < 30) drawn.current = { history, at: Date.now() };
  const snapshot = drawn.current.history;
  const { times } = snapshot;
  const width = Math.max(0, outer - LEFT - RIGHT);
  // The page is drawn each second, this anew only when there is something new to draw.
  const { rows, known, ticks, max, pieces } = useMemo(() => {
    const rows = lines.map(({ column, hasGaps }) => (snapshot.columns[column] ?? []).map((value) => (hasGaps && value === 0 ? null : value)));
    const known = rows.flat().filter((value): value is number => value !== null);
    const ticks = valueTicks(Math.max(0, ...known));
    const max = ticks[ticks.length - 1] ?? 1;
    return { rows, known, ticks, max, pieces: rows.map((row) => linePieces(times, row, max, width, HEIGHT)) };
  }, [snapshot, width]);
  const now = rows[0]?.[times.length - 1];
  const summary = known.length === 0 ? texts.noChart : texts.chartSummary(title, now == null ? DASH : format(now), format(Math.max(...known)));
  const first = times[0] ?? 0;
  const span = Math.max(1, (times[times.length - 1] ?? 0) - first);
  const x = (time: number) => ((time - first) / span) * width;
  const at = pointed.value === null ? -1 : nearest(times, pointed.value);

  return (
    <figure class="chart" ref={host}>
      {width > 0 && times.length > 1 && known.length > 0 && (
        <svg width={outer} height={TOP + HEIGHT + FOOT} aria-hidden="true"
          onPointerMove={(event) => {
            const inside = event.clientX - event.currentTarget.getBoundingClientRect().left - LEFT;
            pointed.value = first + (Math.min(width, Math.max(0, inside)) / width) * span;
          }}
          onPointerLeave={() => (pointed.value = null)}>
          <g transform={`translate(${LEFT} ${TOP})`}>
            {ticks.map((tick) => {
              const y = (1 - tick / max) * HEIGHT;
              return [
                <path key={tick} class="chart-grid" d={`M0 ${y}H${width}`} />,
                <text key={`${tick}t`} x={-8} y={y + 4} text-anchor="end">{format(tick)}</text>,
              ];
            })}
            {timeTicks(first, first + span, width / TICK_WIDTH).map((tick) => (
              <text key={tick} x={Math.min(x(tick), width - LABEL / 2 + RIGHT)} y={HEIGHT + 17} text-anchor="middle">{clockText(tick, locale, span < 180)}</text>
            ))}
            {lines.map((line, index) => pieces[index]?.map((points) => {
              const path = points.map(([px, py]) => `${px} ${py}`).join('L');
              return [
                line.fill && <path key={`${line.column}f`} fill={`var(${line.color}-fill)`} d={`M${points[0]?.[0]} ${HEIGHT}L${path}V${HEIGHT}`} />,
                <path key={line.column} class="chart-line" stroke={`var(${line.color})`} d={`M${path}h.1`} />,
              ];
            }))}
            {at >= 0 && <path class="chart-cursor" d={`M${x(times[at] ?? 0)} 0V${HEIGHT}`} />}
          </g>
        </svg>
      )}
      {known.length === 0 && <p class="muted">{summary}</p>}
      {at >= 0 && (
        <div class="chart-tip" aria-hidden="true">
          {clockText(times[at] ?? 0, locale, true)}
          {lines.map(({ label }, index) => {
            const value = rows[index]?.[at];
            return `  ${label} ${value == null ? DASH : format(value)}`;
          })}
        </div>
      )}
      <figcaption class="sr">{summary}</figcaption>
    </figure>
  );
}
