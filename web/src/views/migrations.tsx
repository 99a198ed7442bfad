import { useEffect, useState } from 'preact/hooks';

import { api } from '../api';
import { Button, Card, Empty, GroupTag, Loading, Pill, Table } from '../components/basics';
import { LatencyChart, OpsChart } from '../components/chart_card';
import { MigrationButtons, MigrationNotes, MigrationPill, MigrationProgress, MigrationRates } from '../components/migration_card';
import { ProblemBox } from '../components/problem';
import { t } from '../i18n';
import * as format from '../lib/format';
import { meanOf } from '../lib/history';
import { go, route, setParams } from '../router';
import { activeMigrations, history, migrations, now } from '../state';
import type { Migration, MigrationSlot } from '../types/model';

export function MigrationsView() {
  const texts = t();
  const all = migrations.value;
  if (!all) return <Loading />;
  const active = activeMigrations.value;
  const past = all.filter((one) => !active.includes(one));
  const shown = route.value.params.id;
  if (all.length === 0) {
    return (
      <Card title={texts.migrations.title}>
        <Empty text={texts.migrations.none} hint={texts.migrations.noneHint}>
          <Button kind="primary" onClick={() => go('slots')}>{texts.slots.title}</Button>
        </Empty>
      </Card>
    );
  }
  return (
    <div class="stack">
      {active.length === 0 && <p class="muted">{texts.migrations.noneRunning}</p>}
      {active.map((one) => <ActiveMigration key={one.id} migration={one} />)}
      {active.length > 0 && <div class="columns"><OpsChart /><LatencyChart /></div>}
      {past.length > 0 && (
        <Card title={texts.migrations.past}>
          <Table caption={texts.migrations.past} head={
            <><th>{texts.migrations.id}</th><th>{texts.common.state}</th><th class="num">{texts.common.slots}</th><th class="num">{texts.common.keys}</th>
              <th class="num">{texts.common.data}</th><th>{texts.migrations.mover}</th><th>{texts.migrations.started}</th><th class="num">{texts.migrations.took}</th><th>{texts.common.by}</th><th><span class="sr">{texts.common.actions}</span></th></>
          }>
            {past.map((one) => [
              <tr key={one.id}>
                <td>{one.id}</td>
                <td><MigrationPill state={one.state} /></td>
                <td class="num">{one.progress.done} / {one.progress.total}</td>
                <td class="num">{format.count(one.keys_moved)}</td>
                <td class="num">{format.bytes(one.bytes_moved || null)}</td>
                <td>{one.mover ?? format.DASH}</td>
                <td class="nowrap">{format.clock(one.started_at ?? one.created_at, texts.locale)}</td>
                <td class="num nowrap">{took(one)}</td>
                <td class="break">{one.created_by ?? format.DASH}</td>
                <td>
                  <div class="actions">
                    <MigrationButtons migration={one} />
                    <Button kind="quiet" aria-expanded={shown === String(one.id)}
                      onClick={() => setParams({ id: shown === String(one.id) ? '' : String(one.id) })}>{texts.common.details}</Button>
                  </div>
                </td>
              </tr>,
              shown === String(one.id) && (
                <tr key={`${one.id}d`}><td colSpan={10}><MigrationNotes migration={one} /><SlotList migration={one} /></td></tr>
              ),
            ])}
          </Table>
        </Card>
      )}
    </div>
  );
}

function took(migration: Migration): string {
  const from = Date.parse(migration.started_at ?? migration.created_at ?? '');
  const to = Date.parse(migration.ended_at ?? '');
  return Number.isNaN(to - from) ? format.DASH : format.duration((to - from) / 1000);
}

function ActiveMigration({ migration }: { migration: Migration }) {
  const texts = t();
  return (
    <Card
      class="migration"
      title={<>{texts.migrations.id} {migration.id} <MigrationPill state={migration.state} /></>}
      aside={<MigrationButtons migration={migration} />}
    >
      <MigrationProgress migration={migration} />
      <p class="muted small">
        {migration.created_by && texts.migrations.by(migration.created_by, format.clock(migration.created_at, texts.locale))}
        {migration.mover && <> · {texts.migrations.mover}: {migration.mover}</>}
      </p>
      <Cost migration={migration} />
      <MigrationNotes migration={migration} />
      <MigrationRates migration={migration} />
      <details>
        <summary>{texts.migrations.bySlot}</summary>
        <SlotList migration={migration} />
      </details>
    </Card>
  );
}

const BEFORE_SECONDS = 60;
const NOW_SECONDS = 15;

// What clients notice of it.
function Cost({ migration }: { migration: Migration }) {
  const began = Date.parse(migration.started_at ?? '') / 1000;
  const at = now.value / 1000;
  const before = meanOf(history.value, 'p99_us', began - BEFORE_SECONDS, began);
  const present = meanOf(history.value, 'p99_us', Math.max(began, at - NOW_SECONDS), at + 1);
  if (before === null || present === null) return null;
  return <p class="muted small">{t().migrations.cost(format.latency(Math.round(present)), format.latency(Math.round(before)))}</p>;
}

const STEP_KIND: Record<string, 'good' | 'warn' | 'work'> = {
  done: 'good', preparing: 'work', migrating: 'work', finishing: 'work', cancelling: 'warn', returning: 'warn',
};
const LIST_EVERY_MS = 2000;

function SlotList({ migration }: { migration: Migration }) {
  const texts = t();
  const [list, setList] = useState<MigrationSlot[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    let isGone = false;
    const load = () => api.migrationSlots(migration.id).then(
      ({ items }) => !isGone && (setList(items), setError(null)), (problem: unknown) => !isGone && setError(problem));
    void load();
    const timer = migration.ended_at ? undefined : setInterval(load, LIST_EVERY_MS);
    return () => {
      isGone = true;
      clearInterval(timer);
    };
  }, [migration.id, migration.state]);
  if (error) return <ProblemBox error={error} />;
  if (!list) return <Loading />;
  return (
    <Table caption={texts.migrations.bySlot} head={
      <><th>{texts.common.slots}</th><th>{texts.plan.from}</th><th>{texts.plan.to}</th><th>{texts.migrations.step}</th>
        <th>{texts.migrations.direction}</th></>
    }>
      {gather(list).map((row) => (
        <tr key={row.first.slot}>
          <td><code>{row.first.slot === row.last ? row.last : `${row.first.slot}-${row.last}`}</code></td>
          <td><GroupTag id={row.first.from} /></td>
          <td><GroupTag id={row.first.to} /></td>
          <td>{STEP_KIND[row.first.step]
            ? <Pill kind={STEP_KIND[row.first.step] ?? 'work'}>{texts.migrations.steps[row.first.step] ?? row.first.step}</Pill>
            : <Pill>{texts.migrations.steps[row.first.step] ?? row.first.step}</Pill>}</td>
          <td>{row.first.direction === 'back' ? texts.migrations.back : texts.migrations.forward}</td>
        </tr>
      ))}
    </Table>
  );
}

// Neighbours of which the same can be said, as one line.
function gather(list: MigrationSlot[]): { first: MigrationSlot; last: number }[] {
  const rows: { first: MigrationSlot; last: number }[] = [];
  for (const slot of [...list].sort((a, b) => a.slot - b.slot)) {
    const row = rows[rows.length - 1];
    if (row && row.last === slot.slot - 1 && row.first.from === slot.from && row.first.to === slot.to &&
        row.first.step === slot.step && row.first.direction === slot.direction) {
      row.last = slot.slot;
    } else {
      rows.push({ first: slot, last: slot.slot });
    }
  }
  return rows;
}
