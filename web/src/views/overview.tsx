import { useEffect, useState } from 'preact/hooks';

import { api, calls } from '../api';
import { Bar, Button, Card, GroupTag, Icon, Loading, Meter, Pill, groupColor } from '../components/basics';
import { ErrorsChart, LatencyChart, OpsChart } from '../components/chart_card';
import { ActionDialog } from '../components/dialog';
import { MigrationStrip } from '../components/migration_card';
import { t } from '../i18n';
import { copyText } from '../lib/clipboard';
import * as format from '../lib/format';
import { toRanges } from '../lib/ranges';
import { spread } from '../lib/selection';
import { go } from '../router';
import {
  activeMigrations, auditCount, canChange, cluster, groups, health, masterOf, may, proxies, slots, slotsBasis, toast, version,
} from '../state';
import type { AuditRow } from '../types/model';
import { AddGroupDialog } from './groups';

export function OverviewView() {
  const texts = t();
  const now = cluster.value;
  const all = slots.value;
  const known = groups.value;
  if (!now || !all || !known) return <Loading />;
  const unassigned = all.filter(({ state }) => state === 'unassigned').map(({ slot }) => slot);
  const isNew = known.length === 0 || unassigned.length === all.length;
  return (
    <div class="stack">
      {isNew && <FirstSteps unassigned={unassigned} />}
      {known.length > 0 && <HealthCard />}
      {!isNew && unassigned.length > 0 && <FirstSteps unassigned={unassigned} />}
      {activeMigrations.value.map((one) => <MigrationStrip key={one.id} migration={one} />)}
      {known.length > 0 && (
        <>
          <div class="meters">
            <Meter value={format.count(now.ops_per_second)} label={texts.overview.kpiOps} />
            <Meter value={format.latency(now.p50_us || null)} label={texts.overview.kpiP50} />
            <Meter value={format.latency(now.p99_us || null)} label={texts.overview.kpiP99} />
            <Meter value={format.count(now.clients)} label={texts.overview.kpiClients} />
            <Meter value={format.count(now.errors_per_second)} label={texts.overview.kpiErrors} />
            <Meter value={format.count(now.keys)} label={texts.overview.kpiKeys} />
            <Meter value={format.bytes(now.memory_bytes)} label={texts.overview.kpiData} />
          </div>
          <div class="thirds"><OpsChart /><LatencyChart /><ErrorsChart /></div>
          <div class="columns">
            <GroupsCard />
            <div class="stack"><ProxiesCard /><RecentCard /></div>
          </div>
        </>
      )}
    </div>
  );
}

function HealthCard() {
  const texts = t();
  const found = (health.value ?? []).filter(({ status }) => status !== 'ok');
  if (health.value === null) return <Card><Loading /></Card>;
  if (found.length === 0) {
    return <Card><p class="fine"><Icon name="check" />{texts.health.fine} <span class="muted">{texts.health.fineHint}</span></p></Card>;
  }
  const rank = (severity: string) => ['critical', 'error'].includes(severity) ? 0 : severity === 'info' ? 2 : 1;
  const labels = [texts.health.critical, texts.health.warning, texts.health.info];
  return (
    <Card title={texts.health.problems(found.length)}>
      <ul class="health-list">
        {[...found].sort((a, b) => rank(a.severity) - rank(b.severity)).map((one) => (
          <li key={`${one.check} ${(one.objects ?? []).join()} ${one.detail}`} class={['critical', 'warning', 'info'][rank(one.severity)]}>
            <Icon name="warn" />
            <div>
              <p><span class="sr">{labels[rank(one.severity)]}: </span><strong>{texts.health.checks[one.check]?.[0] ?? one.detail}</strong></p>
              <p>{texts.health.checks[one.check]?.[1] ?? one.hint}</p>
              {texts.health.checks[one.check] && <p class="small" lang="en">{one.detail}</p>}
              {one.since && <p class="muted small">{texts.common.since} {format.clock(one.since, texts.locale)}</p>}
            </div>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function FirstSteps({ unassigned }: { unassigned: number[] }) {
  const texts = t();
  const [dialog, setDialog] = useState<'group' | 'assign' | null>(null);
  const known = groups.value ?? [];
  const hasGroups = known.length > 0;
  const off = !canChange.value;
  const proxy = proxies.value?.[0];
  const port = proxy?.addr.split(':').pop() ?? '19000';
  const command = `redis-cli -h ${location.hostname.replace(/[[\]]/g, '')} -p ${port} SET hello world`;
  const assignments = hasGroups ? spread(unassigned, known.map(({ id }) => id)) : [];
  const pieces = known.flatMap(({ id }) =>
    toRanges(assignments.filter(({ group }) => group === id).map(({ slot }) => slot)).map((range) => ({ ...range, group_id: id })));
  return (
    <Card title={texts.first.title}>
      <ol class="steps">
        <li class={hasGroups ? 'done' : 'now'}>
          <h3>{texts.first.group}</h3>
          <p class="muted">{hasGroups ? texts.first.added(known.length) : texts.first.groupHint}</p>
          {!hasGroups && may('importCodis') && <a class="small" href="#/settings">{texts.first.codis}</a>}
          {may('createGroup') && (
            <Button kind={hasGroups ? 'quiet' : 'primary'} disabled={off} onClick={() => setDialog('group')}>
              {hasGroups ? texts.first.addAnother : texts.groups.add}
            </Button>
          )}
        </li>
        <li class={hasGroups ? 'now' : ''}>
          <h3>{texts.first.assign}</h3>
          <p class="muted">{texts.first.assignHint}</p>
          {may('assignSlots') && hasGroups && (
            <div class="row">
              <Button kind="primary" disabled={off} onClick={() => setDialog('assign')}>{texts.first.even}</Button>
              <Button onClick={() => go('slots')}>{texts.slots.title}</Button>
            </div>
          )}
        </li>
        <li>
          <h3>{texts.first.connect}</h3>
          <p class="muted">{texts.first.connectHint}</p>
          <div class="command">
            <code>{command}</code>
            <Button kind="quiet" icon="copy" aria-label={texts.common.copyCurl} onClick={async () =>
              toast((await copyText(command)) ? texts.common.copied : texts.common.copyFailed)} />
          </div>
        </li>
      </ol>
      {dialog === 'group' && <AddGroupDialog onClose={() => setDialog(null)} />}
      {dialog === 'assign' && (
        <ActionDialog title={texts.assign.title} submit={texts.assign.submit} done={texts.assign.done} basis={slotsBasis(unassigned)}
          call={calls.assign(pieces, version.value)} onClose={() => setDialog(null)} onDone={() => setDialog(null)}>
          <p>{texts.assign.evenText(unassigned.length, known.length)}</p>
          {known.map(({ id }) => (
            <div class="row" key={id}>
              <GroupTag id={id} />
              <code class="break">{pieces.filter(({ group_id }) => group_id === id).map(({ from, to }) => `${from}-${to}`).join(',')}</code>
            </div>
          ))}
          <p class="muted">{texts.assign.effect}</p>
        </ActionDialog>
      )}
    </Card>
  );
}

function GroupsCard() {
  const texts = t();
  const known = groups.value ?? [];
  const most = Math.max(1, ...known.map((group) => group.slots));
  return (
    <Card title={texts.overview.groups} aside={<Button kind="quiet" onClick={() => go('groups')}>{texts.common.details}</Button>}>
      <div class="legend">
        {known.map((group) => (
          <button key={group.id} type="button" onClick={() => go('groups')}>
            <span class={`swatch ${groupColor(group.id)}`} />
            <span class="name" title={group.name}>{group.name}</span>
            <b>{group.slots}</b>
            <Bar part={group.slots} whole={most} color={groupColor(group.id)} />
            <span class="where muted small">
              {[[masterOf(group)?.keys, texts.common.keys] as const, [masterOf(group)?.ops_per_second, texts.top.ops] as const]
                .filter(([value]) => value != null).map(([value, unit]) => `${format.count(value)} ${unit}`).join(' · ')}
            </span>
          </button>
        ))}
      </div>
    </Card>
  );
}

function ProxiesCard() {
  const texts = t();
  const behind = (proxies.value ?? []).filter(({ state }) => state !== 'ready');
  return (
    <Card title={texts.overview.outOfStep} aside={<Button kind="quiet" onClick={() => go('proxies')}>{texts.proxies.title}</Button>}>
      {behind.length === 0
        ? <p class="fine"><Icon name="check" />{texts.overview.allInStep}</p>
        : <ul>{behind.map((one) => <li key={one.id}><strong>{one.name}</strong> {texts.proxies.behind(one.topology_version ?? 0)}</li>)}</ul>}
    </Card>
  );
}

const RECENT = 6;

function RecentCard() {
  const texts = t();
  const [rows, setRows] = useState<AuditRow[] | null>(null);
  const count = auditCount.value;
  useEffect(() => {
    api.audit({}).then(({ items }) => setRows(items.slice(0, RECENT)), () => setRows([]));
  }, [count]);
  return (
    <Card title={texts.overview.recent} aside={<Button kind="quiet" onClick={() => go('audit')}>{texts.audit.title}</Button>}>
      {rows?.length === 0 && <p class="muted">{texts.overview.nothingYet}</p>}
      <div class="stack tight">
        {rows?.map((row) => (
          <p key={row.id} class="break small">
            <span class="muted">{format.clock(row.at, texts.locale)}</span> <strong>{row.actor}</strong> {row.action} <code>{row.object}</code>
            {row.status >= 400 && <> <Pill kind="bad">{row.status}</Pill></>}
          </p>
        ))}
      </div>
    </Card>
  );
}
