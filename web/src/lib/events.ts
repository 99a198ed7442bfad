// Events into what is known. null: the event does not say enough, load instead.

import type { Cluster, Figures, Migration, Slot } from '../types/model';

type Data = Record<string, unknown>;

const FIGURES = ['ops_per_second', 'errors_per_second', 'p50_us', 'p99_us', 'clients'] as const;

export function mergeStats(cluster: Cluster, data: Data): Cluster {
  const next = { ...cluster };
  for (const name of FIGURES) {
    const value = data[name];
    if (typeof value === 'number' || value === null) next[name] = value;
  }
  if (typeof data.keys === 'number') next.keys = data.keys;
  return next;
}

export function figuresOf(cluster: Cluster | null): Figures {
  const figures: Figures = {};
  for (const name of FIGURES) if (cluster?.[name] !== undefined) figures[name] = cluster[name];
  return figures;
}

// {slots: [{slot, state, group, target}, ...]}: those that changed.
export function mergeSlots(slots: readonly Slot[], data: Data): Slot[] | null {
  if (!Array.isArray(data.slots)) return null;
  const next = [...slots];
  for (const change of data.slots as Slot[]) {
    const before = next[change?.slot];
    if (before?.slot !== change.slot) return null;
    next[change.slot] = { ...before, ...change };
  }
  return next;
}

// A whole migration, as GET /migrations/{id} shows it.
export function mergeMigration(migrations: readonly Migration[], data: Data): Migration[] | null {
  if (data.id === undefined || typeof data.state !== 'string' || typeof data.progress !== 'object') return null;
  const change = data as unknown as Migration;
  const at = migrations.findIndex(({ id }) => id === change.id);
  if (at < 0) return [change, ...migrations];
  const next = [...migrations];
  next[at] = { ...next[at], ...change };
  return next;
}

// `fresh`, with the old object for each slot of which nothing has changed.
export function keepSame(old: readonly Slot[] | null, fresh: Slot[]): Slot[] {
  if (!old) return fresh;
  return fresh.map((slot, at) => {
    const before = old[at];
    const isSame = before && before.slot === slot.slot && before.state === slot.state && before.group === slot.group &&
      before.target === slot.target && before.keys === slot.keys && before.bytes === slot.bytes &&
      before.ops_per_second === slot.ops_per_second;
    return isSame ? before : slot;
  });
}
