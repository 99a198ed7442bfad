import { useEffect, useState } from 'preact/hooks';

import { api, calls } from '../api';
import { Button, Card, Empty, Loading, Pill, Table } from '../components/basics';
import { ActionDialog } from '../components/dialog';
import { ProblemBox, explain } from '../components/problem';
import { t } from '../i18n';
import * as format from '../lib/format';
import { route, setParams } from '../router';
import { run } from '../api';
import { canChange, may, proxies, reload, toast } from '../state';
import type { Proxy, ProxyClient } from '../types/model';

const KIND = { ready: 'good', behind: 'warn' } as const;

export function ProxiesView() {
  const texts = t();
  const [dialog, setDialog] = useState<{ kind: 'drain' | 'remove'; proxy: Proxy } | null>(null);
  const all = proxies.value;
  if (!all) return <Loading />;
  const off = !canChange.value;
  const close = () => setDialog(null);
  const shown = all.find(({ id }) => String(id) === route.value.params.id);
  return (
    <div class="stack">
      <Card title={texts.proxies.title}>
        <Table caption={texts.proxies.title} head={
          <><th>{texts.common.name}</th><th>{texts.proxies.address}</th><th>{texts.common.state}</th><th>{texts.proxies.version}</th>
            <th class="num">{texts.proxies.lease}</th><th class="num">{texts.proxies.clients}</th><th class="num">{texts.proxies.ops}</th><th class="num">{texts.proxies.errors}</th>
            <th class="num">p50</th><th class="num">p99</th><th class="num">{texts.proxies.memory}</th><th>{texts.proxies.release}</th><th class="num">{texts.proxies.uptime}</th><th><span class="sr">{texts.common.actions}</span></th></>
        }>
          {all.map((one) => (
            <tr key={one.id}>
              <td class="break">{one.name}</td>
              <td class="nowrap"><code>{one.addr}</code></td>
              <td><Pill kind={KIND[one.state] ?? 'warn'}>{texts.proxies.states[one.state] ?? one.state}</Pill>
                {one.problem && <p class="small muted break">{one.problem}</p>}</td>
              <td class="nowrap">
                {one.state === 'ready'
                  ? <Pill kind="good">v{one.topology_version}</Pill>
                  : <Pill kind="warn">{texts.proxies.behind(one.topology_version ?? 0)}</Pill>}
              </td>
              <td class="num">{one.lease_left_seconds == null ? texts.proxies.local : format.duration(one.lease_left_seconds)}</td>
              <td class="num">{format.count(one.clients)}</td>
              <td class="num">{format.count(one.ops_per_second)}</td>
              <td class="num">{format.count(one.errors_per_second)}</td>
              <td class="num nowrap">{format.latency(one.p50_us || null)}</td>
              <td class="num nowrap">{format.latency(one.p99_us || null)}</td>
              <td class="num nowrap">{format.bytes(one.memory_bytes)}</td>
              <td class="nowrap">{one.version ?? format.DASH}</td>
              <td class="num nowrap">{format.duration(one.uptime_seconds)}</td>
              <td>
                <div class="actions">
                  {may('listClients') && (
                    <Button kind="quiet" aria-expanded={shown === one} onClick={() => setParams({ id: shown === one ? '' : String(one.id) })}>{texts.proxies.showClients}</Button>
                  )}
                  {may('resyncProxy') && (
                    <Button disabled={off} onClick={async () => {
                      try {
                        await run(calls.proxyAction(one.id, 'resync'));
                        toast(texts.proxies.resynced);
                      } catch (problem) {
                        toast(explain(problem), 'bad');
                      }
                      reload('proxies');
                    }}>{texts.proxies.resync}</Button>
                  )}
                  {may('drainProxy') && <Button disabled={off} onClick={() => setDialog({ kind: 'drain', proxy: one })}>{texts.proxies.drain}</Button>}
                  {may('deleteProxy') && one.admin_url && (
                    <Button kind="danger" disabled={off} onClick={() => setDialog({ kind: 'remove', proxy: one })}>{texts.proxies.remove}</Button>
                  )}
                </div>
              </td>
            </tr>
          ))}
        </Table>
      </Card>
      {shown && <Clients proxy={shown} />}
      {dialog?.kind === 'drain' && (
        <ActionDialog title={texts.proxies.drainTitle(dialog.proxy.name)} submit={texts.proxies.drain.replace('…', '')} danger done={texts.proxies.drained}
          call={calls.proxyAction(dialog.proxy.id, 'drain')} onClose={close} onDone={close}>
          <p>{texts.proxies.drainText}</p>
        </ActionDialog>
      )}
      {dialog?.kind === 'remove' && (
        <ActionDialog title={texts.proxies.removeTitle(dialog.proxy.name)} submit={texts.common.remove} danger strict done={texts.groups.removed}
          call={calls.removeProxy(dialog.proxy.id)} onClose={close} onDone={close}>
          <p>{texts.proxies.removeText}</p>
        </ActionDialog>
      )}
    </div>
  );
}

function Clients({ proxy }: { proxy: Proxy }) {
  const texts = t();
  const [list, setList] = useState<ProxyClient[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [victim, setVictim] = useState<ProxyClient | null>(null);
  const load = () => api.proxyClients(proxy.id).then(({ items }) => setList(items), setError);
  useEffect(() => void load(), [proxy.id]);
  return (
    <Card title={`${texts.proxies.showClients}: ${proxy.name}`} aside={<Button onClick={load}>{texts.common.reload}</Button>}>
      <ProblemBox error={error} />
      {list === null && !error && <Loading />}
      {list?.length === 0 && <Empty text={texts.proxies.noClients} />}
      {list && list.length > 0 && (
        <Table caption={texts.proxies.showClients} head={
          <><th>ID</th><th>{texts.proxies.address}</th><th>{texts.proxies.clientName}</th><th>{texts.proxies.user}</th><th>{texts.proxies.lastCommand}</th><th class="num">{texts.proxies.idle}</th><th class="num">{texts.proxies.age}</th><th><span class="sr">{texts.common.actions}</span></th></>
        }>
          {list.map((client) => (
            <tr key={client.id}>
              <td>{client.id}</td>
              <td><code>{client.addr}</code></td>
              <td class="break">{client.name ?? ''}</td>
              <td class="break">{client.user ?? ''}</td>
              <td>{client.last_command}</td>
              <td class="num">{format.duration(client.idle_seconds)}</td>
              <td class="num">{format.duration(client.age_seconds)}</td>
              <td class="num">{may('killClient') && (
                <Button kind="danger" disabled={!canChange.value} onClick={() => setVictim(client)}>{texts.proxies.kill}</Button>
              )}</td>
            </tr>
          ))}
        </Table>
      )}
      {victim && (
        <ActionDialog title={texts.proxies.killTitle(victim.addr)} submit={texts.proxies.kill} danger done={texts.proxies.killed}
          call={calls.killClient(proxy.id, victim.id)} onClose={() => setVictim(null)} onDone={() => {
            setVictim(null);
            void load();
          }}>
          <p>{texts.proxies.killText}</p>
        </ActionDialog>
      )}
    </Card>
  );
}
