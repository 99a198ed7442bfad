// The 1024 slots as 32 rows of 32. Cells are made once and only those that changed are touched:
// that is cheaper than a whole new tree each second, and each cell stays a real element for
// keyboards and screen readers.

import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

import { t } from '../i18n';
import * as format from '../lib/format';
import { heatClasses } from '../lib/heat';
import { SLOT_COUNT } from '../lib/ranges';
import { between, focusStep } from '../lib/selection';
import { activeMigrations, groupById, groupName, now, slots } from '../state';
import type { Slot } from '../types/model';
import { groupColor } from './basics';

export type GridMode = 'owner' | 'traffic' | 'keys' | 'bytes';
const COLUMNS = 32;
const HUES = 12;

export function slotFigure(slot: Slot, mode: GridMode): number | null | undefined {
  if (mode === 'traffic') return slot.ops_per_second;
  if (mode === 'keys') return slot.keys;
  return mode === 'bytes' ? slot.bytes : null;
}

export function describeSlot(slot: Slot): string {
  const texts = t();
  const parts: string[] = [];
  if (slot.state === 'unassigned') parts.push(texts.slots.states.unassigned);
  else parts.push(groupName(slot.group));
  if (slot.state === 'locked') parts.push(texts.slots.states.locked);
  if (slot.state === 'migrating') {
    parts.push(`${texts.slots.states.migrating} ${texts.slots.to} ${groupName(slot.target)}`);
  }
  if (slot.keys != null) parts.push(`${format.count(slot.keys)} ${texts.common.keys}`);
  if (slot.bytes != null) parts.push(format.bytes(slot.bytes));
  if (slot.ops_per_second != null) parts.push(`${format.count(slot.ops_per_second)} ${texts.top.ops}`);
  return texts.slots.cell(slot.slot, parts.join(', '));
}

// How full slots on their way are drawn: all that are in work move at the same pace.
function fillPercent(): number {
  let moved = 0;
  let left = 0;
  for (const one of activeMigrations.value) {
    moved += one.keys_moved;
    left += one.keys_left_estimate;
  }
  return moved + left === 0 ? 50 : Math.max(12, Math.min(92, Math.round((100 * moved) / (moved + left))));
}

// What a cell shows.
interface Painted {
  slot?: Slot;
  words?: object;
  name: string;
  label: string;
  isSelected: boolean | undefined;
}

interface SlotGridProps {
  mode: GridMode;
  selection: ReadonlySet<number>;
  onSelect: (selection: Set<number>) => void;
  onEnter: () => void;
  // Only this group's slots are bright.
  bright: number | null | undefined;
}

export function SlotGrid(props: SlotGridProps) {
  const host = useRef<HTMLDivElement>(null);
  const cells = useRef<HTMLElement[]>([]);
  const painted = useRef<Painted[]>([]);
  const wordsRef = useRef({ texts: t(), groups: groupById.value });
  const latest = useRef(props);
  latest.current = props;
  const focus = useRef(0);
  // Where a drag or Shift began, and what was selected then.
  const anchor = useRef(0);
  const base = useRef<ReadonlySet<number>>(new Set());

  // Class and title of every cell; those that did not change are left alone.
  const paint = () => {
    const grid = host.current;
    const all = slots.value;
    if (!grid || !all || all.length < SLOT_COUNT) return;
    const { mode, selection, bright } = latest.current;
    if (wordsRef.current.texts !== t() || wordsRef.current.groups !== groupById.value) {
      wordsRef.current = { texts: t(), groups: groupById.value };
    }
    const words = wordsRef.current;
    const heat = mode === 'owner' ? null : heatClasses(all.map((slot) => slotFigure(slot, mode)));
    grid.style.setProperty('--fill', `${fillPercent()}%`);
    // Once a second: hundreds of animations would keep a core busy.
    const isMoving = all.some(({ state }) => state === 'migrating');
    grid.classList.toggle('beat', isMoving && Math.floor(now.value / 1000) % 2 === 0);
    grid.classList.toggle('heat', heat !== null);
    grid.classList.toggle('has-selection', selection.size > 0);
    for (let at = 0; at < SLOT_COUNT; at++) {
      const slot = all[at];
      const cell = cells.current[at];
      if (!slot || !cell) continue;
      const isSelected = selection.has(at);
      let name = `cell ${groupColor(slot.group)} ${slot.state}`;
      if (slot.target != null) name += ` t-${(slot.target - 1) % HUES}`;
      if (heat) name += ` h${heat[at]}`;
      if (isSelected) name += ' sel';
      if (bright !== undefined && slot.group !== bright && slot.target !== bright) name += ' dim';
      const before = painted.current[at] ?? { name: '', label: '', isSelected: undefined };
      // Most slots are the same objects as the last time, and their words are as good as then.
      const label = before.slot === slot && before.words === words ? before.label : describeSlot(slot);
      if (before.name !== name) cell.className = name;
      if (before.label !== label) {
        cell.title = label;
        cell.setAttribute('aria-label', label);
      }
      if (before.isSelected !== isSelected) cell.setAttribute('aria-selected', String(isSelected));
      painted.current[at] = { slot, words, name, label, isSelected };
    }
  };

  useEffect(() => {
    const grid = host.current;
    if (!grid) return;
    for (let row = 0; row < SLOT_COUNT / COLUMNS; row++) {
      const line = document.createElement('div');
      line.className = 'grid-row';
      line.setAttribute('role', 'row');
      for (let column = 0; column < COLUMNS; column++) {
        const cell = document.createElement('div');
        const at = row * COLUMNS + column;
        cell.className = 'cell g-none';
        cell.dataset.slot = String(at);
        cell.setAttribute('role', 'gridcell');
        cell.tabIndex = at === 0 ? 0 : -1;
        cells.current.push(cell);
        line.append(cell);
      }
      grid.append(line);
    }
    const stop = effect(paint);
    return () => {
      stop();
      grid.replaceChildren();
      cells.current = [];
      painted.current = [];
    };
  }, []);
  useEffect(paint);

  const moveFocus = (to: number, isFocused: boolean) => {
    const before = cells.current[focus.current];
    const next = cells.current[to];
    if (before) before.tabIndex = -1;
    focus.current = to;
    if (next) {
      next.tabIndex = 0;
      if (isFocused) next.focus({ preventScroll: false });
    }
  };

  const slotAt = (target: EventTarget | null): number | null => {
    const text = (target as HTMLElement | null)?.dataset?.slot;
    return text === undefined ? null : Number(text);
  };

  const onPointerDown = (event: PointerEvent) => {
    const at = slotAt(event.target);
    if (at === null || event.button !== 0) return;
    const { selection, onSelect } = props;
    const adds = event.ctrlKey || event.metaKey;
    if (event.pointerType === 'touch') {
      // A finger scrolls; it picks single slots, ranges are typed.
      const next = new Set(selection);
      if (!next.delete(at)) next.add(at);
      onSelect(next);
      moveFocus(at, false);
      return;
    }
    event.preventDefault();
    moveFocus(at, true);
    if (event.shiftKey) {
      onSelect(between(anchor.current, at, adds ? selection : new Set()));
      return;
    }
    anchor.current = at;
    if (adds && selection.has(at)) {
      const next = new Set(selection);
      next.delete(at);
      onSelect(next);
      return;
    }
    // One selected cell clicked again: nothing is selected.
    if (!adds && selection.size === 1 && selection.has(at)) {
      onSelect(new Set());
      return;
    }
    base.current = adds ? selection : new Set();
    onSelect(between(at, at, base.current));
    const drag = (move: PointerEvent) => {
      const over = slotAt(document.elementFromPoint(move.clientX, move.clientY));
      if (over === null || over === focus.current) return;
      moveFocus(over, true);
      latest.current.onSelect(between(anchor.current, over, base.current));
    };
    const drop = () => {
      removeEventListener('pointermove', drag);
      removeEventListener('pointerup', drop);
      removeEventListener('pointercancel', drop);
    };
    addEventListener('pointermove', drag);
    addEventListener('pointerup', drop);
    addEventListener('pointercancel', drop);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const at = focus.current;
    const { selection, onSelect, onEnter } = props;
    const next = focusStep(at, event.key, COLUMNS, SLOT_COUNT);
    if (next !== null) {
      event.preventDefault();
      if (event.shiftKey) {
        // A new range begins where the focus is, unless one is being drawn.
        if (!selection.has(at)) anchor.current = at;
        onSelect(between(anchor.current, next, new Set()));
      } else {
        anchor.current = next;
      }
      moveFocus(next, true);
    } else if (event.key === ' ') {
      event.preventDefault();
      const changed = new Set(selection);
      if (!changed.delete(at)) changed.add(at);
      anchor.current = at;
      onSelect(changed);
    } else if (event.key === 'Enter') {
      event.preventDefault();
      if (selection.size === 0) onSelect(new Set([at]));
      onEnter();
    } else if (event.key === 'Escape') {
      onSelect(new Set());
    } else if (event.key.toLowerCase() === 'a' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      onSelect(between(0, SLOT_COUNT - 1, new Set()));
    }
  };

  return (
    <div class="grid-wrap">
      <div class="grid-rows" aria-hidden="true">
        {Array.from({ length: SLOT_COUNT / COLUMNS }, (_, row) => <span key={row}>{row * COLUMNS}</span>)}
      </div>
      <div
        ref={host}
        class="grid"
        role="grid"
        aria-multiselectable="true"
        aria-label={t().slots.gridLabel}
        onPointerDown={onPointerDown}
        onKeyDown={onKeyDown}
      />
    </div>
  );
}
