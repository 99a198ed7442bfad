// The whole topology as a document: taken out, put back, taken over from codis. The server says first
// what a document would change; what is sent then is that document, for the version that was shown.

import { useState } from 'preact/hooks';

import { ApiError, calls, run } from '../api';
import { Button, Card, Field, GroupTag, Icon, Table } from '../components/basics';
import { CopyCurl, Dialog, TypeName } from '../components/dialog';
import { ProblemBox } from '../components/problem';
import { t } from '../i18n';
import { differenceOf, readDocument, type Difference, type NamedGroup } from '../lib/topology';
import { canChange, may, reload, toast, version } from '../state';

export function TopologyCard() {
  const texts = t().topology;
  const [isOpen, setOpen] = useState(false);
  return (
    <Card title={texts.title} aside={
      <>
        <a class="button" href="/api/v1/topology" download="topology.json">{texts.export}</a>
        {may('importTopology') && (
          <>
            <a class="button" href="/api/v1/topology?secrets=true" download="topology-with-passwords.json">{texts.exportSecrets}</a>
            <Button disabled={!canChange.value} onClick={() => setOpen(true)}>{texts.import}</Button>
          </>
        )}
      </>
    }>
      <p class="muted">{texts.hint}</p>
      {isOpen && <ImportDialog onClose={() => setOpen(false)} />}
    </Card>
  );
}

function ImportDialog({ onClose }: { onClose: () => void }) {
  const texts = t().topology;
  const [text, setText] = useState('');
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const [isForced, setForced] = useState(false);
  const [isOwned, setOwned] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const [isNamed, setNamed] = useState(false);
  // What would change, and the version that is true for.
  const [shown, setShown] = useState<{ difference: Difference; version: number } | null>(null);
  const read = readDocument(text);
  const at = shown?.version ?? version.value;
  const call =
    read.kind === 'topology' ? calls.importTopology({ ...read.body, ...(isForced ? { force: true } : {}) }, at)
    : read.kind === 'codis' ? calls.importCodis({ ...read.body, ...(username ? { username } : {}), ...(password ? { password } : {}) }, at)
    : null;

  const send = async () => {
    if (!call) return;
    setBusy(true);
    setError(null);
    try {
      if (shown) {
        await run(call, false);
        toast(texts.done);
        reload();
        onClose();
        return;
      }
      const answer = await run({ ...call, path: `${call.path}?dry_run=true` }, false);
      setShown({ difference: differenceOf(answer), version: at });
      setNamed(false);
    } catch (problem) {
      setError(problem);
      setShown(null);
      if (problem instanceof ApiError) {
        if (problem.problem.code === 'slot_owned') setOwned(true);
        if (problem.problem.status === 412) reload();
      }
    }
    setBusy(false);
  };

  return (
    <Dialog title={texts.importTitle} onClose={onClose} wide>
      <form onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}>
        <div class="dialog-body">
          {shown ? <Changes difference={shown.difference} /> : (
            <>
              <Field label={texts.file}>
                <input type="file" accept=".json,application/json" onChange={async (event) => {
                  const file = event.currentTarget.files?.[0];
                  if (file) setText(await file.text());
                }} />
              </Field>
              <Field label={texts.text} hint={texts.textHint} error={text === '' ? undefined : read.kind === 'broken' ? texts.notJson : read.kind === 'unknown' ? texts.unknown : undefined}>
                <textarea class="mono" rows={8} spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
              </Field>
              {read.kind === 'codis' && (
                <>
                  <p>{texts.isCodis}</p>
                  <div class="form-grid">
                    <Field label={t().groups.username}>
                      <input value={username} autocomplete="off" onInput={(event) => setUsername(event.currentTarget.value)} />
                    </Field>
                    <Field label={t().groups.password} hint={t().groups.passwordHint}>
                      <input type="password" value={password} autocomplete="new-password" onInput={(event) => setPassword(event.currentTarget.value)} />
                    </Field>
                  </div>
                </>
              )}
              {isOwned && read.kind === 'topology' && (
                <label class="choice">
                  <input type="checkbox" checked={isForced} onChange={(event) => setForced(event.currentTarget.checked)} />
                  <span><b>{texts.force}</b><span class="muted">{texts.forceHint}</span></span>
                </label>
              )}
            </>
          )}
          <ProblemBox error={error} />
        </div>
        <footer class="dialog-foot">
          {shown && !shown.difference.isEmpty && <TypeName onMatch={setNamed} />}
          {call && <CopyCurl call={{ ...call, file: 'topology.json' }} />}
          <span class="spring" />
          {shown && <Button disabled={isBusy} onClick={() => setShown(null)}>{texts.back}</Button>}
          {!shown && <button type="submit" class="button primary" disabled={!call || isBusy || !canChange.value}>{texts.check}</button>}
          {shown && !shown.difference.isEmpty && (
            <button type="submit" class="button danger solid" disabled={isBusy || !isNamed || !canChange.value}>{texts.submit}</button>
          )}
        </footer>
      </form>
    </Dialog>
  );
}

function Changes({ difference }: { difference: Difference }) {
  const texts = t();
  const { added, changed, removed, slots, warnings } = difference;
  return (
    <>
      {difference.isEmpty && <p><strong>{texts.topology.nothing}</strong></p>}
      {warnings.map((text) => <p class="note" key={text}><Icon name="warn" />{text}</p>)}
      <Names title={texts.topology.removed} all={removed} />
      <Names title={texts.topology.added} all={added} />
      <Names title={texts.topology.changed} all={changed} />
      {slots.length > 0 && (
        <Table caption={texts.topology.slots} head={<><th>{texts.topology.slots}</th><th>{texts.plan.from}</th><th>{texts.plan.to}</th></>}>
          {slots.map(({ from, to, before, after }) => (
            <tr key={from}>
              <td><code>{from === to ? from : `${from}-${to}`}</code></td>
              <td><GroupTag id={before} /></td>
              <td><GroupTag id={after} /></td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}

function Names({ title, all }: { title: string; all: NamedGroup[] }) {
  if (all.length === 0) return null;
  return (
    <div>
      <h3>{title}</h3>
      <ul>{all.map(({ id, name, text }) => <li key={id} class="break"><strong>{name}</strong> <span class="muted">#{id}</span> <code>{text}</code></li>)}</ul>
    </div>
  );
}
