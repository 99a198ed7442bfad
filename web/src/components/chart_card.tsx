// The charts of the last hour, each in its card.

import { t } from '../i18n';
import * as format from '../lib/format';
import { history } from '../state';
import { Card } from './basics';
import { Chart, type Line } from './chart';

function ChartCard({ title, lines, format: shape }: { title: string; lines: Line[]; format: (value: number) => string }) {
  return (
    <Card title={title} aside={
      lines.length > 1
        ? <span class="chart-lines">{lines.map((line) => <span key={line.column} style={{ '--line-color': `var(${line.color})` }}>{line.label}</span>)}</span>
        : <span class="muted small">{t().overview.lastHour}</span>
    }>
      <Chart history={history.value} lines={lines} format={shape} title={title} />
    </Card>
  );
}

export function OpsChart() {
  const texts = t().overview;
  return <ChartCard title={texts.opsTitle} format={format.count}
    lines={[{ column: 'ops_per_second', label: texts.kpiOps, color: '--c-ops', fill: true }]} />;
}

// Where nobody asked, nothing was measured: the server says 0 then.
export function LatencyChart() {
  return <ChartCard title={t().overview.latencyTitle} format={format.latency}
    lines={[{ column: 'p99_us', label: 'p99', color: '--c-p99', hasGaps: true }, { column: 'p50_us', label: 'p50', color: '--c-p50', hasGaps: true }]} />;
}

export function ErrorsChart() {
  const texts = t().overview;
  return <ChartCard title={texts.errorsTitle} format={format.count}
    lines={[{ column: 'errors_per_second', label: texts.kpiErrors, color: '--c-errors', fill: true }]} />;
}
