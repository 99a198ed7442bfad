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

// How many keys and bytes a group has; null: not known.
export interface Size {
  slots: number;
  keys: number | null;
  bytes: number | null;
}
export interface Extent {
  flows: Flow[];
  slots: number;
  keys: number | null;
  bytes: number | null;
  // Not counted, but a share of what the groups have.
  isEstimate: boolean;
}

// What a plan moves. Where the server has not counted it, slots are taken to be equally full.
export function extentOf(plan: Plan, sizes: ReadonlyMap<number, Size>): Extent {
  const counted = (name: 'keys' | 'bytes') => plan.before.some((share) => (share[name] ?? 0) > 0);
  const isCounted = { keys: counted('keys'), bytes: counted('bytes') };
  const result: Extent = { flows: [], slots: 0, keys: null, bytes: null, isEstimate: !isCounted.keys };
  for (const flow of flows(plan)) {
    const size = sizes.get(flow.from);
    const figure = (name: 'keys' | 'bytes') => {
      if (isCounted[name]) return flow[name];
      const whole = size?.[name];
      return whole == null || !size?.slots ? null : Math.round((whole * flow.slots) / size.slots);
    };
    const full = { ...flow, keys: figure('keys'), bytes: figure('bytes') };
    result.flows.push(full);
    result.slots += full.slots;
    result.keys = add(result.keys, full.keys);
    result.bytes = add(result.bytes, full.bytes);
  }
  return result;
}

// Slots of each group before and after, by id.
export function sharesOf(plan: Plan): { group: number; before: number; after: number }[] {
  const ids = new Set([...plan.before, ...plan.after].map(({ group_id }) => group_id));
  const slots = (side: Plan['before'], id: number) => side.find(({ group_id }) => group_id === id)?.slots ?? 0;
  return [...ids].sort((a, b) => a - b).map((group) => ({
    group, before: slots(plan.before, group), after: slots(plan.after, group),
  }));
}
