import { useEffect, useState } from 'preact/hooks';

import { api } from '../api';
import { Button, Card, Empty, Loading, Table } from '../components/basics';
import { ProblemBox } from '../components/problem';
import { t } from '../i18n';
import * as format from '../lib/format';
import { groupName, proxies } from '../state';
import type { CommandCount, HotKey, SlowRequest } from '../types/model';

type Row = SlowRequest & { proxy: string };

export function SlowlogView() {
  const texts = t();
  const [rows, setRows] = useState<Row[] | null>(null);
  const [hot, setHot] = useState<HotKey[]>([]);
  const [commands, setCommands] = useState<CommandCount[]>([]);
  const [error, setError] = useState<unknown>(null);
  const all = proxies.value;
  const load = async () => {
    if (!all) return;
    try {
      const lists = await Promise.all(all.map(async (proxy) =>
        (await api.slowlog(proxy.id)).items.map((row) => ({ ...row, proxy: proxy.name }))));
      const keys = await Promise.all(all.map(async (proxy) => (await api.hotKeys(proxy.id)).items));
      const counts = await Promise.all(all.map(async (proxy) => (await api.commands(proxy.id)).items));
      setCommands(sumCommands(counts.flat()));
      setHot(keys.flat().sort((a, b) => b.ops_per_second - a.ops_per_second));
      setRows(lists.flat().sort((a, b) => b.at.localeCompare(a.at)));
      setError(null);
    } catch (problem) {
      setError(problem);
    }
  };
  useEffect(() => void load(), [all === null]);
  return (
    <div class="stack">
      <Card title={texts.slowlog.title} aside={<Button onClick={load}>{texts.common.reload}</Button>}>
        <ProblemBox error={error} />
        {!rows && !error && <Loading />}
        {rows?.length === 0 && <Empty text={texts.slowlog.none} />}
        {rows && rows.length > 0 && (
          <Table caption={texts.slowlog.title} head={
            <><th>{texts.slowlog.at}</th><th class="num">{texts.slowlog.took}</th><th class="num">{texts.slowlog.atServer}</th><th>{texts.slowlog.command}</th><th>{texts.slowlog.client}</th><th>{texts.slowlog.server}</th></>
          }>
            {rows.map((row, at) => (
              <tr key={at}>
                <td class="nowrap">{format.clock(row.at, texts.locale)}</td>
                <td class="num nowrap">{format.latency(row.total_us)}</td>
                <td class="num nowrap">{format.latency(row.server_us)}</td>
                <td><code class="break">{row.args.join(' ')}</code></td>
                <td class="nowrap"><code>{row.client}</code></td>
                <td class="nowrap"><code>{row.server ?? ''}</code></td>
              </tr>
            ))}
          </Table>
        )}
      </Card>
      <Card title={texts.slowlog.hot}>
        {hot.length === 0 && <Empty text={texts.slowlog.noneHot} />}
        {hot.length > 0 && (
          <Table caption={texts.slowlog.hot} head={
            <><th>{texts.slowlog.key}</th><th class="num">{texts.groups.ops}</th><th class="num">{texts.slowlog.slot}</th><th>{texts.slowlog.group}</th></>
          }>
            {hot.map((one, at) => (
              <tr key={at}>
                <td><code class="break">{one.key ?? one.key_base64}</code></td>
                <td class="num">{format.count(one.ops_per_second)}</td>
                <td class="num">{one.slot}</td>
                <td class="nowrap">{groupName(one.group)}</td>
              </tr>
            ))}
          </Table>
        )}
      </Card>
      <Card title={texts.slowlog.commands}>
        {commands.length === 0 && <Empty text={texts.slowlog.noCommands} />}
        {commands.length > 0 && (
          <Table caption={texts.slowlog.commands} head={
            <><th>{texts.slowlog.command}</th><th class="num">{texts.slowlog.calls}</th><th class="num">{texts.slowlog.mean}</th><th class="num">{texts.slowlog.errors}</th></>
          }>
            {commands.map(({ name, calls, errors, total_us }) => (
              <tr key={name}>
                <td><code>{name}</code></td>
                <td class="num">{format.count(calls)}</td>
                <td class="num nowrap">{format.latency(total_us / calls)}</td>
                <td class="num">{format.count(errors)}</td>
              </tr>
            ))}
          </Table>
        )}
      </Card>
    </div>
  );
}

// Of all proxies together; those that took most time first.
function sumCommands(all: CommandCount[]): CommandCount[] {
  const sums = new Map<string, CommandCount>();
  for (const one of all) {
    const sum = sums.get(one.name) ?? { name: one.name, calls: 0, errors: 0, total_us: 0 };
    sums.set(one.name, { ...sum, calls: sum.calls + one.calls, errors: sum.errors + one.errors, total_us: sum.total_us + one.total_us });
  }
  return [...sums.values()].filter(({ calls }) => calls > 0).sort((a, b) => b.total_us - a.total_us).slice(0, 30);
}
