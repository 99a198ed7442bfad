// The heart: who owns which slot, where the load is, select and move.

import { useState } from 'preact/hooks';

import { api, calls } from '../api';
import { Button, Card, Empty, Field, GroupTag, Loading, Pill, Table, groupColor } from '../components/basics';
import { OpsChart, LatencyChart } from '../components/chart_card';
import { ActionDialog } from '../components/dialog';
import { MigrationStrip } from '../components/migration_card';
import { PlanDialog, type PlanStart } from '../components/plan_dialog';
import { ProblemBox } from '../components/problem';
import { SlotGrid, slotFigure, type GridMode } from '../components/slot_grid';
import { t } from '../i18n';
import * as format from '../lib/format';
import { SLOT_COUNT, formatRanges, parseSlots, toRanges } from '../lib/ranges';
import { go, route, setParams } from '../router';
import { activeMigrations, canChange, groupName, groups, masterOf, may, slots, slotsBasis, version } from '../state';
import { stateOf } from './groups';
import type { Slot } from '../types/model';

const MODES: GridMode[] = ['owner', 'traffic', 'keys', 'bytes'];

function sum(chosen: Slot[], mode: GridMode): number | null {
  let total: number | null = null;
  for (const slot of chosen) {
    const value = slotFigure(slot, mode);
    if (value != null) total = (total ?? 0) + value;
  }
  return total;
}

// Slots with the same owner, state and target that follow each other.
export function ranges(all: readonly Slot[]): { from: number; to: number; first: Slot }[] {
  const result: { from: number; to: number; first: Slot }[] = [];
  for (const slot of all) {
    const last = result[result.length - 1];
    if (last && last.first.group === slot.group && last.first.state === slot.state && last.first.target === slot.target) {
      last.to = slot.slot;
    } else {
      result.push({ from: slot.slot, to: slot.slot, first: slot });
    }
  }
  return result;
}

export function SlotsView() {
  const texts = t();
  const { params } = route.value;
  const mode = MODES.find((one) => one === params.mode) ?? 'owner';
  const selection = new Set(parseSlots(params.sel ?? '') ?? []);
  const [bright, setBright] = useState<number | null | undefined>(undefined);
  const [target, setTarget] = useState<number | null>(null);
  const [plan, setPlan] = useState<PlanStart | null>(null);
  const [isAssigning, setAssigning] = useState(false);
  const all = slots.value;
  const known = groups.value;

  if (!all || !known) return <Loading />;

  const select = (next: ReadonlySet<number>) => setParams({ sel: formatRanges(toRanges(next)) });
  const chosen = all.filter(({ slot }) => selection.has(slot));
  const isUnassigned = chosen.length > 0 && chosen.every(({ state }) => state === 'unassigned');
  const isMixed = !isUnassigned && chosen.some(({ state }) => state === 'unassigned');
  const goal = target !== null && known.some(({ id }) => id === target)
    ? target
    : (known.find(({ id }) => !chosen.some(({ group }) => group === id)) ?? known[0])?.id ?? null;
  const mayMove = may('createPlan') && may('createMigration');

  const enter = () => {
    if (chosen.length === 0 || goal === null || !canChange.value) return;
    if (isUnassigned && may('assignSlots')) setAssigning(true);
    else if (!isMixed && mayMove) setPlan({ kind: 'move', slots: chosen.map(({ slot }) => slot), target: goal });
  };

  return (
    <div class="stack">
      {activeMigrations.value.map((one) => <MigrationStrip key={one.id} migration={one} />)}
      <div class="columns">
        <Card
          class="grid-card"
          title={texts.slots.title}
          aside={
            <>
              <div class="segments" role="group" aria-label={texts.slots.mode}>
                {MODES.map((one) => (
                  <button key={one} type="button" aria-pressed={mode === one} onClick={() => setParams({ mode: one === 'owner' ? '' : one })}>
                    {texts.slots[one]}
                  </button>
                ))}
              </div>
              {mayMove && known.length > 1 && (
                <Button kind="primary" disabled={!canChange.value} onClick={() => setPlan({ kind: 'rebalance' })}>
                  {texts.slots.rebalance}
                </Button>
              )}
            </>
          }
        >
          <SlotGrid mode={mode} selection={selection} onSelect={select} onEnter={enter} bright={bright} />
          <div class="grid-foot">
            <span class="by-mouse">{texts.slots.help}</span><span class="by-touch">{texts.slots.touch}</span>
            <span class="spring" />
            {mode !== 'owner' && (all.some((slot) => slotFigure(slot, mode) != null)
              ? <span class="heat-scale">{texts.slots.heatLow}<i aria-hidden="true" />{texts.slots.heatHigh}</span>
              : <strong>{texts.slots.noHeat}</strong>)}
          </div>
        </Card>
        <div class="stack">
          <Card title={texts.slots.selected(selection.size)} aside={selection.size > 0 && (
            <Button kind="quiet" onClick={() => select(new Set())}>{texts.slots.clear}</Button>
          )}>
            <div class="selection">
              <RangeField selection={selection} onSelect={select} />
              {chosen.length > 0 && (
                <>
                  <p class="muted">
                    {texts.slots.holds}: <Holds chosen={chosen} />
                  </p>
                  {(isUnassigned ? may('assignSlots') : mayMove) && known.length > 0 && (
                    <div class="row">
                      <label class="row">
                        <span>{texts.slots.target}</span>
                        <select value={goal ?? ''} onChange={(event) => setTarget(Number(event.currentTarget.value))}>
                          {known.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
                        </select>
                      </label>
                      <Button kind="primary" disabled={!canChange.value || isMixed} onClick={enter}>
                        {isUnassigned ? texts.slots.assign : texts.slots.move}
                      </Button>
                    </div>
                  )}
                  {isMixed && <p class="muted small">{texts.slots.mixed}</p>}
                </>
              )}
              <Lookup onFound={(slot) => select(new Set([slot]))} />
            </div>
          </Card>
          <Card title={texts.slots.legend} aside={<span class="muted small">{texts.slots.legendHint}</span>}>
            <Legend all={all} mode={mode} onHover={setBright} onPick={(id) =>
              select(new Set(all.filter(({ group }) => group === id).map(({ slot }) => slot)))} />
            {known.length === 0 && (
              <Empty text={texts.slots.noGroups}><Button kind="primary" onClick={() => go('groups')}>{texts.groups.title}</Button></Empty>
            )}
          </Card>
          {known.length > 0 && <><OpsChart /><LatencyChart /></>}
        </div>
      </div>
      <RangeTable all={all} onSelect={select} />
      {plan && <PlanDialog start={plan} onClose={() => setPlan(null)} onStarted={() => {
        setPlan(null);
        select(new Set());
      }} />}
      {isAssigning && goal !== null && (
        <ActionDialog
          title={texts.assign.title}
          submit={texts.assign.submit}
          done={texts.assign.done}
          basis={slotsBasis(selection)}
          call={calls.assign(toRanges(selection).map(({ from, to }) => ({ from, to, group_id: goal })), version.value)}
          onClose={() => setAssigning(false)}
          onDone={() => {
            setAssigning(false);
            select(new Set());
          }}
        >
          <p>{texts.assign.text(selection.size, groupName(goal))}</p>
          <p><code class="break">{formatRanges(toRanges(selection))}</code></p>
          <p class="muted">{texts.assign.effect}</p>
        </ActionDialog>
      )}
    </div>
  );
}

function Holds({ chosen }: { chosen: Slot[] }) {
  const texts = t();
  const keys = sum(chosen, 'keys');
  const bytes = sum(chosen, 'bytes');
  const ops = sum(chosen, 'traffic');
  const parts = [texts.slots.shown(chosen.length)];
  if (keys !== null) parts.push(`${format.count(keys)} ${texts.common.keys}`);
  if (bytes !== null) parts.push(format.bytes(bytes));
  if (ops !== null) parts.push(`${format.count(ops)} ${texts.top.ops}`);
  return <strong>{parts.join(' · ')}</strong>;
}

function RangeField({ selection, onSelect }: { selection: ReadonlySet<number>; onSelect: (next: Set<number>) => void }) {
  const shown = formatRanges(toRanges(selection));
  // What is being typed; null: the field follows the selection.
  const [draft, setDraft] = useState<string | null>(null);
  const [isWrong, setWrong] = useState(false);
  return (
    <Field label={t().slots.range} error={isWrong ? t().slots.rangeWrong : undefined}>
      <input
        class="mono"
        data-search
        value={draft ?? shown}
        aria-invalid={isWrong}
        onInput={(event) => {
          const text = event.currentTarget.value;
          const parsed = parseSlots(text);
          setDraft(text);
          setWrong(parsed === null && !/[-,\s]$/.test(text));
          if (parsed) onSelect(new Set(parsed));
        }}
        onBlur={() => {
          setDraft(null);
          setWrong(false);
        }}
      />
    </Field>
  );
}

function Lookup({ onFound }: { onFound: (slot: number) => void }) {
  const [key, setKey] = useState('');
  const [answer, setAnswer] = useState<{ slot: number; group: number | null } | null>(null);
  const [error, setError] = useState<unknown>(null);
  const texts = t();
  return (
    <form
      class="stack tight"
      onSubmit={async (event) => {
        event.preventDefault();
        try {
          const found = await api.lookup(key);
          setAnswer(found);
          setError(null);
          onFound(found.slot);
        } catch (problem) {
          setError(problem);
        }
      }}
    >
      <Field label={texts.slots.lookup}>
        <span class="row">
          <input class="mono" value={key} onInput={(event) => {
            setKey(event.currentTarget.value);
            setAnswer(null);
          }} />
          <button type="submit" class="button" disabled={key === ''}>{texts.slots.lookupGo}</button>
        </span>
      </Field>
      {answer && (
        <p class="small" role="status">
          <code class="break">{key}</code> {texts.slots.lookupResult(answer.slot, answer.group == null ? texts.slots.unassigned : groupName(answer.group))}
        </p>
      )}
      <ProblemBox error={error} />
    </form>
  );
}

interface LegendProps {
  all: Slot[];
  mode: GridMode;
  onHover: (id: number | null | undefined) => void;
  onPick: (id: number | null) => void;
}

function Legend({ all, mode, onHover, onPick }: LegendProps) {
  const texts = t();
  const rows = [
    { id: null as number | null, name: texts.slots.unassigned, where: '', isWell: true },
    ...(groups.value ?? []).map((group) => ({
      id: group.id as number | null, name: group.name, where: masterOf(group)?.addr ?? '',
      isWell: group.servers.every((server) => stateOf(server) !== 'down' && stateOf(server) !== 'broken'),
    })),
  ].map((row) => {
    const own = all.filter(({ group }) => (group ?? null) === row.id);
    return { ...row, count: own.length, figure: mode === 'owner' ? own.length : sum(own, mode) };
  }).filter(({ id, count }) => id !== null || count > 0);
  const most = Math.max(1, ...rows.map(({ figure }) => figure ?? 0));
  const text = (value: number | null) => (mode === 'bytes' ? format.bytes(value) : format.count(value));
  return (
    <div class="legend" onPointerLeave={() => onHover(undefined)}>
      {rows.map((row) => (
        <button
          key={row.id}
          type="button"
          onPointerEnter={() => onHover(row.id)}
          onFocus={() => onHover(row.id)}
          onBlur={() => onHover(undefined)}
          onClick={() => onPick(row.id)}
        >
          <span class={`swatch ${groupColor(row.id)}`} />
          <span class="name" title={row.name}>{row.name}</span>
          <b class="nowrap">{text(row.figure)}</b>
          <span class="bar"><span class={`bar-fill ${groupColor(row.id)}`} style={{ display: 'block', width: `${(100 * (row.figure ?? 0)) / most}%` }} /></span>
          <span class="where muted small">{!row.isWell && <Pill kind="warn">{texts.slots.degraded}</Pill>} {row.where}</span>
        </button>
      ))}
    </div>
  );
}

// The same as the grid, for those who read rather than look.
function RangeTable({ all, onSelect }: { all: Slot[]; onSelect: (next: Set<number>) => void }) {
  const texts = t();
  const rows = ranges(all);
  return (
    <Card title={texts.slots.table} aside={<span class="muted small">{texts.slots.shown(SLOT_COUNT)}</span>}>
      <Table caption={texts.slots.table} head={
        <>
          <th>{texts.slots.from}</th><th>{texts.slots.until}</th><th class="num">{texts.slots.count}</th><th>{texts.slots.group}</th>
          <th>{texts.common.state}</th><th class="num">{texts.common.keys}</th><th class="num">{texts.common.data}</th><th class="num">{texts.top.ops}</th><th><span class="sr">{texts.common.actions}</span></th>
        </>
      }>
        {rows.map(({ from, to, first }) => {
          const own = all.slice(from, to + 1);
          return (
            <tr key={from}>
              <td>{from}</td>
              <td>{to}</td>
              <td class="num">{to - from + 1}</td>
              <td>
                <GroupTag id={first.group} />
                {first.target != null && <> {texts.slots.to} <GroupTag id={first.target} /></>}
              </td>
              <td>{texts.slots.states[first.state]}</td>
              <td class="num">{format.count(sum(own, 'keys'))}</td>
              <td class="num">{format.bytes(sum(own, 'bytes'))}</td>
              <td class="num">{format.count(sum(own, 'traffic'))}</td>
              <td class="num">
                <Button kind="quiet" onClick={() => onSelect(new Set(own.map(({ slot }) => slot)))}
                  aria-label={`${texts.slots.selectRow} ${from}-${to}`}>{texts.slots.selectRow}</Button>
              </td>
            </tr>
          );
        })}
      </Table>
    </Card>
  );
}
