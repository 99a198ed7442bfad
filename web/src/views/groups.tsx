import { useState } from 'preact/hooks';

import { ApiError, calls, run } from '../api';
import { Bar, Button, Card, Empty, Field, Loading, Pill, Table, groupColor } from '../components/basics';
import { ActionDialog } from '../components/dialog';
import { PlanDialog } from '../components/plan_dialog';
import { ProblemBox } from '../components/problem';
import { t } from '../i18n';
import * as format from '../lib/format';
import { formatRanges } from '../lib/ranges';
import { formatRoute } from '../lib/route';
import { go } from '../router';
import { canChange, groupBasis, groups, masterOf, may, toast, version } from '../state';
import type { Group, Server } from '../types/model';

type Open =
  | { kind: 'add' }
  | { kind: 'edit' | 'remove' | 'addServer' | 'drain'; group: Group }
  | { kind: 'removeServer' | 'promote' | 'replicate'; group: Group; server: Server };

export function GroupsView() {
  const texts = t().groups;
  const [open, setOpen] = useState<Open | null>(null);
  const all = groups.value;
  if (!all) return <Loading />;
  const close = () => setOpen(null);
  const addButton = may('createGroup') && (
    <Button kind="primary" disabled={!canChange.value} onClick={() => setOpen({ kind: 'add' })}>{texts.add}</Button>
  );
  return (
    <div class="stack">
      <div class="page-head"><span class="muted">{t().groups.noneHint}</span><span class="spring" />{all.length > 0 && addButton}</div>
      {all.length === 0 && <Card><Empty text={texts.none} hint={texts.noneHint}>{addButton}</Empty></Card>}
      {all.map((group) => <GroupCard key={group.id} group={group} onOpen={setOpen} />)}
      {open?.kind === 'add' && <AddGroupDialog onClose={close} />}
      {open?.kind === 'edit' && <EditDialog group={open.group} onClose={close} />}
      {open?.kind === 'addServer' && <AddServerDialog group={open.group} onClose={close} />}
      {open?.kind === 'drain' && (
        <PlanDialog start={{ kind: 'drain', group: open.group.id }} onClose={close} onStarted={(migration) => {
          close();
          go('migrations', { id: String(migration.id) });
        }} />
      )}
      {open?.kind === 'remove' && (
        <ActionDialog title={texts.removeTitle(open.group.name)} submit={t().common.remove} danger strict done={texts.removed} basis={groupBasis(open.group.id)}
          call={calls.deleteGroup(open.group.id, version.value)} onClose={close} onDone={close}>
          <p>{texts.removeText}</p>
        </ActionDialog>
      )}
      {open?.kind === 'removeServer' && (
        <ActionDialog title={texts.removeServerTitle(open.server.addr)} submit={t().common.remove} danger done={texts.removed} basis={groupBasis(open.group.id)}
          call={calls.removeServer(open.group.id, open.server.addr, version.value)} onClose={close} onDone={close}>
          <p>{texts.removeServerText}</p>
        </ActionDialog>
      )}
      {open?.kind === 'replicate' && (
        <ActionDialog title={texts.replicateTitle(open.server.addr)} submit={texts.replicate} done={texts.replicated} basis={groupBasis(open.group.id)}
          call={calls.replicate(open.group.id, open.server.addr, version.value)} onClose={close} onDone={close}>
          <p>{texts.replicateText}</p>
        </ActionDialog>
      )}
      {open?.kind === 'promote' && <PromoteDialog group={open.group} server={open.server} onClose={close} />}
    </div>
  );
}

type ServerState = keyof ReturnType<typeof t>['groups']['states'];
const STATE_KIND: Record<ServerState, 'good' | 'warn' | 'bad'> = {
  up: 'good', loading: 'warn', broken: 'bad', unknown: 'warn', down: 'bad',
};

// What is worth knowing first of a server.
export function stateOf(server: Server): ServerState {
  if (server.state === 'up' && server.loading) return 'loading';
  if (server.state === 'up' && server.role === 'replica' && server.link_up === false) return 'broken';
  return server.state === 'up' || server.state === 'down' ? server.state : 'unknown';
}

function GroupCard({ group, onOpen }: { group: Group; onOpen: (open: Open) => void }) {
  const texts = t();
  const off = !canChange.value;
  const isEmpty = group.slots === 0;
  const master = masterOf(group);
  return (
    <Card
      class="group-card"
      title={<span class="group-tag"><span class={`swatch ${groupColor(group.id)}`} />{group.name} <span class="muted small">#{group.id}</span></span>}
      aside={
        <>
          {may('addServer') && <Button disabled={off} onClick={() => onOpen({ kind: 'addServer', group })}>{texts.groups.addServer}</Button>}
          {may('updateGroup') && <Button disabled={off} onClick={() => onOpen({ kind: 'edit', group })}>{texts.groups.edit}</Button>}
          {may('createPlan') && !isEmpty && (groups.value?.length ?? 0) > 1 && (
            <Button disabled={off} onClick={() => onOpen({ kind: 'drain', group })}>{texts.groups.drain}</Button>
          )}
          {may('deleteGroup') && (
            <Button kind="danger" disabled={off || !isEmpty} title={isEmpty ? undefined : texts.groups.notEmpty}
              onClick={() => onOpen({ kind: 'remove', group })}>{texts.groups.remove}</Button>
          )}
        </>
      }
    >
      <p class="muted">
        <a href={formatRoute({ view: 'slots', params: { sel: formatRanges(group.ranges) } })}>{texts.groups.slotsOwned(group.slots)}</a>
        {!!group.slots_leaving && <> · {texts.groups.leaving(group.slots_leaving)}</>}
        {!!group.slots_arriving && <> · {texts.groups.arriving(group.slots_arriving)}</>}
        {master?.keys != null && <> · {format.count(master.keys)} {texts.common.keys}</>}
        {' '}· {texts.groups.weight} {group.weight}
        {master?.movers && master.movers.length > 0 && <> · {texts.groups.movers}: {master.movers.join(', ')}</>}
      </p>
      {group.promotion && (
        <p role="status"><Pill kind="work">{texts.groups.steps[group.promotion.step]}</Pill> {texts.groups.promotes(group.promotion.server)}</p>
      )}
      <Table caption={`${group.name}: ${texts.groups.servers}`} head={
        <><th>{texts.groups.address}</th><th>{texts.common.role}</th><th>{texts.common.state}</th><th>{texts.groups.engine}</th>
          <th class="num">{texts.groups.lag}</th><th>{texts.groups.memory}</th><th class="num">{texts.groups.keys}</th><th class="num">{texts.groups.ops}</th><th><span class="sr">{texts.common.actions}</span></th></>
      }>
        {group.servers.map((server) => (
          <tr key={server.addr}>
            <td class="nowrap"><code>{server.addr}</code></td>
            <td>{server.role === 'master' ? <strong>{texts.groups.master}</strong> : texts.groups.replica}</td>
            <td>
              <Pill kind={STATE_KIND[stateOf(server)]}>{texts.groups.states[stateOf(server)]}</Pill>
              {server.error && <p class="small muted break">{server.error}</p>}
            </td>
            <td class="nowrap">{[server.engine, server.version].filter(Boolean).join(' ') || format.DASH}</td>
            <td class="num">{server.role === 'master' ? format.DASH : format.bytes(server.lag_bytes)}</td>
            <td class="nowrap">
              {format.bytes(server.memory_bytes)}
              {!!server.memory_max_bytes && <> / {format.bytes(server.memory_max_bytes)}<Bar part={server.memory_bytes ?? 0} whole={server.memory_max_bytes} /></>}
            </td>
            <td class="num">{format.count(server.keys)}</td>
            <td class="num">{format.count(server.ops_per_second)}</td>
            <td>
              {server.role !== 'master' && (
                <div class="actions">
                  {may('promoteServer') && <Button disabled={off} onClick={() => onOpen({ kind: 'promote', group, server })}>{texts.groups.promote}</Button>}
                  {may('replicateServer') && <Button disabled={off} onClick={() => onOpen({ kind: 'replicate', group, server })}>{texts.groups.replicate}</Button>}
                  {may('removeServer') && <Button kind="danger" disabled={off} onClick={() => onOpen({ kind: 'removeServer', group, server })}>{texts.common.remove}</Button>}
                </div>
              )}
            </td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

export function AddGroupDialog({ onClose }: { onClose: () => void }) {
  const texts = t();
  const [name, setName] = useState('');
  const [servers, setServers] = useState('');
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const [weight, setWeight] = useState('');
  const [error, setError] = useState<unknown>(null);
  const list = servers.split(/[\s,]+/).filter((one) => one !== '');
  const body = {
    servers: list,
    ...(name ? { name } : {}), ...(username ? { username } : {}), ...(password ? { password } : {}),
    ...(weight ? { weight: Number(weight) } : {}),
  };
  const call = list.length > 0 ? calls.createGroup(body, version.value) : null;
  return (
    <ActionDialog title={texts.groups.addTitle} submit={texts.groups.create} call={call} done={texts.groups.created}
      onClose={onClose} onDone={onClose}
      extra={call && (
        <Button disabled={!canChange.value} onClick={async () => {
          try {
            await run({ ...call, path: `${call.path}?dry_run=true` }, false);
            setError(null);
            toast(texts.groups.tested);
          } catch (problem) {
            setError(problem);
          }
        }}>{texts.groups.test}</Button>
      )}>
      <Field label={texts.groups.servers} hint={texts.groups.serversHint}>
        <textarea class="mono" rows={3} value={servers} spellcheck={false} autofocus placeholder="10.0.1.1:6379"
          onInput={(event) => setServers(event.currentTarget.value)} />
      </Field>
      <div class="form-grid">
        <Field label={`${texts.common.name} (${texts.common.optional})`}>
          <input value={name} maxLength={64} onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <Field label={`${texts.groups.weight} (${texts.common.optional})`}>
          <input type="number" min={0} max={1000} placeholder="1" value={weight} onInput={(event) => setWeight(event.currentTarget.value)} />
        </Field>
      </div>
      <details>
        <summary>{texts.groups.password} ({texts.common.optional})</summary>
        <div class="form-grid">
          <Field label={texts.groups.username}>
            <input value={username} autocomplete="off" onInput={(event) => setUsername(event.currentTarget.value)} />
          </Field>
          <Field label={texts.groups.password} hint={texts.groups.passwordHint}>
            <input type="password" value={password} autocomplete="new-password" onInput={(event) => setPassword(event.currentTarget.value)} />
          </Field>
        </div>
      </details>
      <ProblemBox error={error instanceof ApiError ? error : null} />
    </ActionDialog>
  );
}

function EditDialog({ group, onClose }: { group: Group; onClose: () => void }) {
  const texts = t();
  const [name, setName] = useState(group.name);
  const [weight, setWeight] = useState(String(group.weight));
  const body = {
    ...(name !== group.name ? { name } : {}), ...(Number(weight) !== group.weight ? { weight: Number(weight) } : {}),
  };
  return (
    <ActionDialog title={texts.groups.editTitle(group.name)} submit={texts.common.save} done={texts.groups.saved} basis={groupBasis(group.id)}
      call={Object.keys(body).length > 0 && weight !== '' ? calls.patchGroup(group.id, body, version.value) : null}
      onClose={onClose} onDone={onClose}>
      <div class="form-grid">
        <Field label={texts.common.name}><input value={name} maxLength={64} onInput={(event) => setName(event.currentTarget.value)} /></Field>
        <Field label={texts.groups.weight} hint={texts.plan.weightsHint}>
          <input type="number" min={0} max={1000} value={weight} onInput={(event) => setWeight(event.currentTarget.value)} />
        </Field>
      </div>
    </ActionDialog>
  );
}

function AddServerDialog({ group, onClose }: { group: Group; onClose: () => void }) {
  const texts = t().groups;
  const [addr, setAddr] = useState('');
  return (
    <ActionDialog title={texts.addServerTitle(group.name)} submit={t().common.add} done={texts.saved} basis={groupBasis(group.id)}
      call={addr ? calls.addServer(group.id, addr, version.value) : null} onClose={onClose} onDone={onClose}>
      <Field label={texts.address}>
        <input class="mono" value={addr} placeholder="10.0.1.2:6379" autofocus onInput={(event) => setAddr(event.currentTarget.value.trim())} />
      </Field>
      <p>{texts.addServerText}</p>
    </ActionDialog>
  );
}

function PromoteDialog({ group, server, onClose }: { group: Group; server: Server; onClose: () => void }) {
  const texts = t().groups;
  const [mode, setMode] = useState<'graceful' | 'force'>('graceful');
  const master = masterOf(group)?.addr ?? '';
  return (
    <ActionDialog title={texts.promoteTitle(server.addr)} submit={texts.promote.replace('…', '')} done={texts.promoted}
      danger={mode === 'force'} strict={mode === 'force'} key={mode} basis={groupBasis(group.id)}
      call={calls.promote(group.id, { server: server.addr, mode, expected_master: master, pause_migrations: true }, version.value)}
      onClose={onClose} onDone={onClose}>
      <p class="muted">{texts.expected(master)}</p>
      {(['graceful', 'force'] as const).map((one) => (
        <label class="choice" key={one}>
          <input type="radio" name="mode" checked={mode === one} onChange={() => setMode(one)} />
          <span><b>{texts[one]}</b><span class="muted">{one === 'graceful' ? texts.gracefulHint : texts.forceHint}</span></span>
        </label>
      ))}
    </ActionDialog>
  );
}
