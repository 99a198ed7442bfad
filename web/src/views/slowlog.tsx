import { useEffect, useState } from 'preact/hooks';

import { api } from '../api';
import { Button, Card, Empty, Loading, Table } from '../components/basics';
import { ProblemBox } from '../components/problem';
import { t } from '../i18n';
import * as format from '../lib/format';
import { groupName, proxies } from '../state';
import type { HotKey, SlowRequest } from '../types/model';

type Row = SlowRequest & { proxy: string };

export function SlowlogView() {
  const texts = t();
  const [rows, setRows] = useState<Row[] | null>(null);
  const [hot, setHot] = useState<HotKey[]>([]);
  const [error, setError] = useState<unknown>(null);
  const all = proxies.value;
  const load = async () => {
    if (!all) return;
    try {
      const lists = await Promise.all(all.map(async (proxy) =>
        (await api.slowlog(proxy.id)).items.map((row) => ({ ...row, proxy: proxy.name }))));
      const keys = await Promise.all(all.map(async (proxy) => (await api.hotKeys(proxy.id)).items));
      setHot(keys.flat().sort((a, b) => b.ops_per_second - a.ops_per_second));
      setRows(lists.flat().sort((a, b) => b.at.localeCompare(a.at)));
      setError(null);
    } catch (problem) {
      setError(problem);
    }
  };
  useEffect(() => void load(), [all === null]);
  return (
    <>
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
    </>
  );
}
