// Samples of the last hour, for charts. Times are seconds since 1970.

export interface History {
  times: number[];
  columns: Record<string, (number | null)[]>;
}

const SPAN_SECONDS = 3600;

export function pushSample(history: History, time: number, sample: Record<string, unknown>, names: string[]): History {
  const last = history.times[history.times.length - 1];
  if (last !== undefined && time <= last) return history;
  let first = 0;
  while (first < history.times.length && (history.times[first] ?? 0) < time - SPAN_SECONDS) first++;
  const columns: History['columns'] = {};
  for (const name of names) {
    const value = sample[name];
    const before = history.columns[name] ?? history.times.map(() => null);
    columns[name] = [...before.slice(first), typeof value === 'number' ? value : null];
  }
  return { times: [...history.times.slice(first), time], columns };
}
