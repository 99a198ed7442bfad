import { useEffect, useState } from 'preact/hooks';

import { api } from '../api';
import { Button, Card, Empty, Field, Loading, Pill, Table } from '../components/basics';
import { ProblemBox } from '../components/problem';
import { t } from '../i18n';
import * as format from '../lib/format';
import { route, setParams } from '../router';
import { auditCount, may } from '../state';
import type { AuditRow } from '../types/model';

const FILTER_MS = 300;

export function AuditView() {
  const texts = t();
  const { actor = '', action = '' } = route.value.params;
  const [rows, setRows] = useState<AuditRow[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [open, setOpen] = useState<number | null>(null);
  const count = auditCount.value;

  const load = async (from?: string) => {
    try {
      const page = await api.audit({ actor, action }, from);
      setRows((before) => (from && before ? [...before, ...page.items] : page.items));
      setCursor(page.next_cursor);
      setError(null);
    } catch (problem) {
      setError(problem);
    }
  };
  useEffect(() => {
    const timer = setTimeout(load, rows === null ? 0 : FILTER_MS);
    return () => clearTimeout(timer);
  }, [actor, action, count]);

  return (
    <Card
      title={texts.audit.title}
      aside={may('exportAudit') && <a class="button" href="/api/v1/audit/export" download="audit.ndjson">{texts.audit.exportAll}</a>}
    >
      <div class="form-grid">
        <Field label={texts.audit.filterActor}><input data-search value={actor} onInput={(event) => setParams({ actor: event.currentTarget.value })} /></Field>
        <Field label={texts.audit.filterAction}><input value={action} onInput={(event) => setParams({ action: event.currentTarget.value })} /></Field>
      </div>
      <ProblemBox error={error} />
      {rows === null && !error && <Loading />}
      {rows?.length === 0 && <Empty text={actor || action ? texts.audit.noneFiltered : texts.audit.none} />}
      {rows && rows.length > 0 && (
        <Table caption={texts.audit.title} head={
          <><th>{texts.audit.when}</th><th>{texts.audit.who}</th><th>{texts.audit.from}</th><th>{texts.audit.what}</th><th>{texts.audit.object}</th><th>{texts.audit.result}</th><th><span class="sr">{texts.common.actions}</span></th></>
        }>
          {rows.map((row) => [
            <tr key={row.id}>
              <td class="nowrap">{format.clock(row.at, texts.locale)}</td>
              <td class="break"><strong>{row.actor === 'system' ? texts.audit.system : row.actor}</strong></td>
              <td class="nowrap">{row.peer ?? ''}</td>
              <td class="nowrap">{row.action}</td>
              <td><code class="break">{row.object ?? ''}</code></td>
              <td>{!!row.status && <Pill kind={row.status < 400 ? 'good' : 'bad'}>{row.status}</Pill>}{row.dry_run && <> <Pill>{texts.audit.dryRun}</Pill></>}</td>
              <td class="num">
                <Button kind="quiet" aria-expanded={open === row.id} onClick={() => setOpen(open === row.id ? null : row.id)}>{texts.common.details}</Button>
              </td>
            </tr>,
            open === row.id && (
              <tr key={`${row.id}d`}>
                <td colSpan={7}>
                  <div class="audit-detail">
                    {row.reason && <p>{texts.audit.reason}: {row.reason}</p>}
                    <p class="muted">{texts.audit.before}</p><pre>{JSON.stringify(row.before ?? null, null, 2)}</pre>
                    <p class="muted">{texts.audit.after}</p><pre>{JSON.stringify(row.after ?? null, null, 2)}</pre>
                  </div>
                </td>
              </tr>
            ),
          ])}
        </Table>
      )}
      {cursor && <Button onClick={() => void load(cursor)}>{texts.common.more}</Button>}
    </Card>
  );
}
