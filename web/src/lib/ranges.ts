// Slots as people write them: "0-31,64".

import type { Range } from '../types/model';

export const SLOT_COUNT = 1024;

// `slots` sorted and without doubles, as ranges.
export function toRanges(slots: Iterable<number>): Range[] {
  const sorted = [...new Set(slots)].sort((a, b) => a - b);
  const ranges: Range[] = [];
  for (const slot of sorted) {
    const last = ranges[ranges.length - 1];
    if (last && last.to === slot - 1) last.to = slot;
    else ranges.push({ from: slot, to: slot });
  }
  return ranges;
}

export function fromRanges(ranges: Iterable<Range>): number[] {
  const slots: number[] = [];
  for (const { from, to } of ranges) for (let slot = from; slot <= to; slot++) slots.push(slot);
  return slots;
}

export function formatRanges(ranges: Iterable<Range>): string {
  return [...ranges].map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

// null: not slots. Empty text is no slot.
export function parseSlots(text: string): number[] | null {
  const slots = new Set<number>();
  for (const part of text.split(/[\s,]+/)) {
    if (part === '') continue;
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part);
    if (!match) return null;
    const from = Number(match[1]);
    const to = match[2] === undefined ? from : Number(match[2]);
    if (to < from || to >= SLOT_COUNT) return null;
    for (let slot = from; slot <= to; slot++) slots.add(slot);
  }
  return [...slots].sort((a, b) => a - b);
}
