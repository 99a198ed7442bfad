// A migration at work: how far, how fast, how long yet; pause, go on, cancel, try again; its rates.

import { useRef, useState } from 'preact/hooks';

import { calls, run, type Limits } from '../api';
import { t } from '../i18n';
import * as format from '../lib/format';
import { go } from '../router';
import { canChange, may, reload, toast } from '../state';
import type { Migration, MigrationState } from '../types/model';
import { Bar, Button, Card, Icon, Pill } from './basics';
import { ActionDialog } from './dialog';
import { explain } from './problem';
import { RateSlider } from './rate_slider';

const KIND: Record<MigrationState, 'good' | 'warn' | 'bad' | 'work'> = {
  pending: 'work', running: 'work', paused: 'warn', cancelling: 'warn', cancelled: 'warn', failed: 'bad', succeeded: 'good',
};
// Of the slowest step: 100 keys, 64 KiB per second.
const LEAST_KEYS = 100;
const LEAST_BYTES = 64 * 1024;
const SEND_AFTER_MS = 250;

export function MigrationPill({ state }: { state: MigrationState }) {
  return <Pill kind={KIND[state]}>{t().migrations.states[state] ?? state}</Pill>;
}

// Slots that are in work count by the keys that have left.
function partDone({ progress, current_slots, keys_moved, keys_left_estimate }: Migration): number {
  const inWork = current_slots.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  const all = keys_moved + keys_left_estimate;
  return progress.done + (all > 0 ? (inWork * keys_moved) / all : 0);
}

export function MigrationProgress({ migration }: { migration: Migration }) {
  const texts = t();
  const { progress } = migration;
  return (
    <>
      <Bar part={partDone(migration)} whole={progress.total} label={texts.migrations.slots(progress.done, progress.total)} />
      <div class="migration-line">
        <b>{texts.migrations.slots(progress.done, progress.total)}</b>
        {migration.keys_moved !== undefined && <span>{texts.migrations.keysMoved(format.count(migration.keys_moved))}</span>}
        {!!migration.bytes_moved && <span>{format.bytes(migration.bytes_moved)}</span>}
        {!!migration.keys_left_estimate && <span>{texts.migrations.keysLeft(format.count(migration.keys_left_estimate))}</span>}
        {!!progress.rate_per_second && migration.state === 'running' && (
          <span>{texts.migrations.perSecond(`${format.count(progress.rate_per_second)} ${progress.rate_unit === 'keys' ? texts.common.keys : texts.common.slots}`)}</span>
        )}
        {!!progress.bytes_per_second && migration.state === 'running' && (
          <span>{texts.migrations.perSecond(format.bytes(progress.bytes_per_second))}</span>
        )}
        {progress.eta_seconds != null && migration.state === 'running' && (
          <b>{texts.migrations.left(format.duration(progress.eta_seconds))}</b>
        )}
      </div>
    </>
  );
}

// One call without a dialog: it can be taken back at once.
async function quick(call: ReturnType<typeof calls.migration>, done: string, undo?: () => void): Promise<void> {
  try {
    await run(call);
    toast(done, 'good', undo);
  } catch (problem) {
    toast(explain(problem), 'bad');
  }
  reload('migrations', 'slots');
}

export function MigrationButtons({ migration }: { migration: Migration }) {
  const texts = t().migrations;
  const [dialog, setDialog] = useState<'pause' | 'cancel' | null>(null);
  const { id, state } = migration;
  const off = !canChange.value;
  return (
    <>
      {may('pauseMigration') && (state === 'running' || state === 'pending') && (
        <Button icon="pause" disabled={off} onClick={() => setDialog('pause')}>{texts.pause}</Button>
      )}
      {may('resumeMigration') && state === 'paused' && (
        <Button icon="play" kind="primary" disabled={off} onClick={() => quick(calls.migration(id, 'resume'), texts.resumed)}>{texts.resume}</Button>
      )}
      {may('retryMigration') && state === 'failed' && (
        <Button disabled={off} onClick={() => quick(calls.migration(id, 'retry'), texts.retried)}>{texts.retry}</Button>
      )}
      {may('cancelMigration') && ['running', 'pending', 'paused', 'failed'].includes(state) && (
        <Button kind="danger" disabled={off} onClick={() => setDialog('cancel')}>{texts.cancel}</Button>
      )}
      {dialog === 'pause' && (
        <ActionDialog title={texts.pauseTitle(String(id))} submit={texts.pause} done={texts.paused} call={calls.migration(id, 'pause')}
          onClose={() => setDialog(null)} onDone={() => setDialog(null)}>
          <p>{texts.pauseText}</p>
        </ActionDialog>
      )}
      {dialog === 'cancel' && <CancelDialog migration={migration} onClose={() => setDialog(null)} />}
    </>
  );
}

function CancelDialog({ migration, onClose }: { migration: Migration; onClose: () => void }) {
  const texts = t().migrations;
  const [way, setWay] = useState<'rollback' | 'finish'>('rollback');
  return (
    <ActionDialog title={texts.cancelTitle(String(migration.id))} submit={texts.cancelSubmit} danger done={texts.cancelled}
      call={calls.cancelMigration(migration.id, way)} onClose={onClose} onDone={onClose}>
      <MigrationProgress migration={migration} />
      {(['rollback', 'finish'] as const).map((one) => (
        <label class="choice" key={one}>
          <input type="radio" name="way" checked={way === one} onChange={() => setWay(one)} />
          <span><b>{texts[one]}</b><span class="muted">{one === 'rollback' ? texts.rollbackHint : texts.finishHint}</span></span>
        </label>
      ))}
    </ActionDialog>
  );
}

// Above the grid: the most important in one line.
export function MigrationStrip({ migration }: { migration: Migration }) {
  return (
    <Card class="migration">
      <div class="migration-line">
        <button type="button" class="button quiet" onClick={() => go('migrations', { id: String(migration.id) })}>
          <Icon name="migrations" />{t().migrations.id} {migration.id}
        </button>
        <MigrationPill state={migration.state} />
        <span class="spring" />
        <MigrationButtons migration={migration} />
      </div>
      <MigrationProgress migration={migration} />
      <MigrationNotes migration={migration} />
    </Card>
  );
}

export function MigrationNotes({ migration }: { migration: Migration }) {
  const problems = [...(migration.error ? [migration.error] : []), ...(migration.problems ?? [])];
  return (
    <>
      {problems.map((text) => <p class="problem" key={text}><Icon name="warn" />{text}</p>)}
      {(migration.warnings ?? []).map((text) => <p class="note" key={text}><Icon name="warn" />{text}</p>)}
    </>
  );
}

// Sliders that work at once, with a way back.
export function MigrationRates({ migration }: { migration: Migration }) {
  const texts = t().migrations;
  const [draft, setDraft] = useState<Limits>({});
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const send = (limits: Limits) => {
    setDraft({ ...draft, ...limits });
    clearTimeout(timer.current);
    timer.current = setTimeout(async () => {
      const before: Limits = {};
      for (const name of Object.keys(limits) as (keyof Limits)[]) before[name] = migration[name] ?? 0;
      const set = async (to: Limits, undo?: () => void) => {
        await quick(calls.setLimits(migration.id, to), texts.rateSet, undo);
        setDraft({});
      };
      await set(limits, () => void set(before));
    }, SEND_AFTER_MS);
  };
  const off = !canChange.value || !may('updateMigration');
  return (
    <div class="rates">
      <RateSlider label={texts.rateKeys} least={LEAST_KEYS} format={format.count} disabled={off}
        value={draft.rate_limit_keys_per_second ?? migration.rate_limit_keys_per_second ?? 0}
        onChange={(value) => send({ rate_limit_keys_per_second: value })} />
      <RateSlider label={texts.rateBytes} least={LEAST_BYTES} format={format.bytes} disabled={off}
        value={draft.rate_limit_bytes_per_second ?? migration.rate_limit_bytes_per_second ?? 0}
        onChange={(value) => send({ rate_limit_bytes_per_second: value })} />
    </div>
  );
}
