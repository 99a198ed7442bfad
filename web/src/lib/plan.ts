// Sums over a plan.

import type { Plan, Range } from '../types/model';

export interface Flow {
  from: number;
  to: number;
  ranges: Range[];
  slots: number;
  keys: number | null;
  bytes: number | null;
}

const length = (ranges: readonly Range[]) => ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);
const add = (a: number | null, b: number | null | undefined) => (b == null ? a : (a ?? 0) + b);

// The moves, one line for each pair of groups.
export function flows(plan: Plan): Flow[] {
  const found = new Map<string, Flow>();
  for (const move of plan.moves) {
    const name = `${move.from}-${move.to}`;
    const flow = found.get(name) ?? { from: move.from, to: move.to, ranges: [], slots: 0, keys: null, bytes: null };
    flow.ranges.push(...move.ranges);
    flow.slots += length(move.ranges);
    flow.keys = add(flow.keys, move.keys);
    flow.bytes = add(flow.bytes, move.bytes);
    found.set(name, flow);
  }
  return [...found.values()];
}

export function planTotals(plan: Plan): { slots: number; keys: number | null; bytes: number | null } {
  let slots = 0;
  let keys: number | null = null;
  let bytes: number | null = null;
  for (const flow of flows(plan)) {
    slots += flow.slots;
    keys = add(keys, flow.keys);
    bytes = add(bytes, flow.bytes);
  }
  // Nobody has counted, where even all groups together have none.
  const counted = (name: 'keys' | 'bytes') => plan.before.some((share) => (share[name] ?? 0) > 0);
  return { slots, keys: counted('keys') ? keys : null, bytes: counted('bytes') ? bytes : null };
}

// Slots of each group before and after, by id.
export function sharesOf(plan: Plan): { group: number; before: number; after: number }[] {
  const ids = new Set([...plan.before, ...plan.after].map(({ group_id }) => group_id));
  const slots = (side: Plan['before'], id: number) => side.find(({ group_id }) => group_id === id)?.slots ?? 0;
  return [...ids].sort((a, b) => a - b).map((group) => ({
    group, before: slots(plan.before, group), after: slots(plan.after, group),
  }));
}
