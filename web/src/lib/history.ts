// Samples of the last hour, for charts. Times are seconds since 1970.

import type { Samples } from '../types/model';

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

// The mean of what a column has from `from` to before `to`; null: nothing was measured.
export function meanOf({ times, columns }: History, column: string, from: number, to: number): number | null {
  const known = (columns[column] ?? []).filter((value, at): value is number =>
    !!value && (times[at] ?? 0) >= from && (times[at] ?? 0) < to);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

// The mean of each `count` samples; nothing where none of them is known.
export function thin({ times, values }: Samples, count: number): Samples {
  const result: Samples = { times: [], values: [] };
  for (let at = 0; at < times.length; at += count) {
    const known = values.slice(at, at + count).filter((value): value is number => value !== null);
    result.times.push(times[Math.min(at + count, times.length) - 1] ?? 0);
    result.values.push(known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length);
  }
  return result;
}
