// The contract, read from the document that the server itself serves.

import { useEffect, useState } from 'preact/hooks';

import { api } from '../api';
import { Card, Field, Loading, Pill } from '../components/basics';
import { CopyCurl } from '../components/dialog';
import { ProblemBox } from '../components/problem';
import { t } from '../i18n';
import { example, operations, resolve, type Document, type Json, type Operation } from '../lib/openapi';
import { route, setParams } from '../router';

export function ApiView() {
  const texts = t().api;
  const [document, setDocument] = useState<Document | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => void api.openapi().then((found) => setDocument(found as unknown as Document), setError), []);
  const filter = (route.value.params.filter ?? '').toLowerCase();
  const shown = document ? operations(document).filter(({ method, path, summary, id }) =>
    `${method} ${path} ${summary} ${id}`.toLowerCase().includes(filter)) : [];
  return (
    <Card title={texts.title} aside={<a class="button" href="/api/v1/openapi.json">{texts.document}</a>}>
      <div class="stack">
        <p class="muted">{texts.intro}</p>
        <Field label={texts.filter}>
          <input data-search value={route.value.params.filter ?? ''} onInput={(event) => setParams({ filter: event.currentTarget.value })} />
        </Field>
        <ProblemBox error={error} />
        {!document && !error && <Loading />}
        {document && <div>{shown.map((one) => <OperationView key={one.method + one.path} operation={one} document={document} />)}</div>}
      </div>
    </Card>
  );
}

function OperationView({ operation, document }: { operation: Operation; document: Document }) {
  const texts = t().api;
  const [isOpen, setOpen] = useState(false);
  const body = operation.body === undefined ? undefined : example(document, operation.body);
  const path = `${document.servers?.[0]?.url ?? '/api/v1'}${operation.path}`;
  return (
    <details class="op" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span class={`method ${operation.method}`}>{operation.method}</span>
        <code>{operation.path}</code>
        <span class="muted">{operation.summary}</span>
      </summary>
      {isOpen && (
        <div class="op-body">
          {operation.description && <p>{operation.description}</p>}
          <div class="row">
            {operation.role && <Pill>{texts.role}: {operation.role}</Pill>}
            <CopyCurl call={{ method: operation.method, path, ...(body === undefined ? {} : { body }) }} />
          </div>
          {operation.parameters.length > 0 && (
            <div>
              <h3>{texts.parameters}</h3>
              <ul>
                {operation.parameters.map((one) => {
                  const parameter = resolve(document, one) as Record<string, Json>;
                  return (
                    <li key={String(parameter.name)}>
                      <code>{String(parameter.name)}</code> <span class="muted">({String(parameter.in)}{parameter.required ? `, ${texts.required}` : ''})</span>{' '}
                      {String(parameter.description ?? '')}
                    </li>
                  );
                })}
              </ul>
            </div>
          )}
          {body !== undefined && <div><h3>{texts.body}</h3><pre>{JSON.stringify(body, null, 2)}</pre></div>}
          <div>
            <h3>{texts.answers}</h3>
            <ul>{operation.answers.map(([status, text]) => <li key={status}><code>{status}</code> {text}</li>)}</ul>
          </div>
        </div>
      )}
    </details>
  );
}
