// Selecting slots, apart from the screen.

// `base` and all slots from `from` to `to`, whichever comes first.
export function between(from: number, to: number, base: ReadonlySet<number>): Set<number> {
  const next = new Set(base);
  for (let slot = Math.min(from, to); slot <= Math.max(from, to); slot++) next.add(slot);
  return next;
}

// Where a key leads from slot `at`; null: it is no such key.
export function focusStep(at: number, key: string, columns: number, count: number): number | null {
  const row = Math.floor(at / columns);
  const last = count - 1;
  switch (key) {
    case 'ArrowLeft': return Math.max(0, at - 1);
    case 'ArrowRight': return Math.min(last, at + 1);
    case 'ArrowUp': return at - columns >= 0 ? at - columns : at;
    case 'ArrowDown': return at + columns <= last ? at + columns : at;
    case 'Home': return row * columns;
    case 'End': return row * columns + columns - 1;
    case 'PageUp': return Math.max(at % columns, at - 8 * columns);
    case 'PageDown': return Math.min(last - columns + 1 + (at % columns), at + 8 * columns);
    default: return null;
  }
}

// `slots` spread over `groups` in runs of nearly equal length, the first ones longer by one.
export function spread(slots: readonly number[], groups: readonly number[]): { slot: number; group: number }[] {
  const each = Math.floor(slots.length / groups.length);
  const longer = slots.length % groups.length;
  const result: { slot: number; group: number }[] = [];
  let at = 0;
  groups.forEach((group, index) => {
    const end = at + each + (index < longer ? 1 : 0);
    for (; at < end; at++) result.push({ slot: slots[at] ?? 0, group });
  });
  return result;
}
