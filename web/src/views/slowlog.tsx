import { useEffect, useState } from 'preact/hooks';

import { api } from '../api';
import { Button, Card, Empty, Loading, Table } from '../components/basics';
import { ProblemBox } from '../components/problem';
import { t } from '../i18n';
import * as format from '../lib/format';
import { proxies } from '../state';
import type { SlowRequest } from '../types/model';

type Row = SlowRequest & { proxy: string };

export function SlowlogView() {
  const texts = t();
  const [rows, setRows] = useState<Row[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const all = proxies.value;
  const load = async () => {
    if (!all) return;
    try {
      const lists = await Promise.all(all.map(async (proxy) =>
        (await api.slowlog(proxy.id)).items.map((row) => ({ ...row, proxy: proxy.name }))));
      setRows(lists.flat().sort((a, b) => b.at.localeCompare(a.at)));
      setError(null);
    } catch (problem) {
      setError(problem);
    }
  };
  useEffect(() => void load(), [all === null]);
  return (
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
  );
}
