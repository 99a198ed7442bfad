// Settings, users, tokens and backups: each card only for those who may see it.

import { useEffect, useState } from 'preact/hooks';

import { api, calls, run, type Page } from '../api';
import { Button, Card, Empty, Field, Loading, Table } from '../components/basics';
import { ActionDialog, Dialog } from '../components/dialog';
import { ProblemBox, explain } from '../components/problem';
import { t } from '../i18n';
import { copyText } from '../lib/clipboard';
import * as format from '../lib/format';
import { auditCount, canChange, may, me, toast } from '../state';
import { TopologyCard } from './topology_card';
import type { Backup, Role, Setting, Token, User } from '../types/model';

const ROLES: Role[] = ['viewer', 'operator', 'admin'];

// A list that is loaded when shown and again when something was changed.
function useList<T>(load: () => Promise<Page<T>>) {
  const [items, setItems] = useState<T[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const count = auditCount.value;
  const again = () => load().then((page) => (setItems(page.items), setError(null)), setError);
  useEffect(() => void again(), [count]);
  return { items, error, again };
}

export function SettingsView() {
  return (
    <div class="stack">
      {may('getSettings') && <SettingsCard />}
      {may('listUsers') && <UsersCard />}
      {may('listTokens') && <TokensCard />}
      {may('exportTopology') && <TopologyCard />}
      {may('listBackups') && <BackupsCard />}
    </div>
  );
}

function SettingsCard() {
  const texts = t();
  const { items, error, again } = useList<Setting>(api.settings);
  const [open, setOpen] = useState<Setting | null>(null);
  return (
    <Card title={texts.settings.values}>
      <ProblemBox error={error} />
      {!items && !error && <Loading />}
      {items?.length === 0 && <Empty text={texts.settings.none} />}
      {items && items.length > 0 && (
        <Table caption={texts.settings.values} head={<><th>{texts.common.name}</th><th>{texts.settings.value}</th><th>{texts.settings.source}</th><th><span class="sr">{texts.common.actions}</span></th></>}>
          {items.map((one) => (
            <tr key={one.name}>
              <td><code>{one.name}</code><p class="muted small">{texts.settings.descriptions[one.name] ?? one.description}</p></td>
              <td class="break">{String(one.value)}</td>
              <td>{texts.settings.sources[one.source] ?? one.source}</td>
              <td class="num">{may('updateSettings') && <Button disabled={!canChange.value} onClick={() => setOpen(one)}>{texts.settings.change}</Button>}</td>
            </tr>
          ))}
        </Table>
      )}
      {open && <SettingDialog setting={open} onClose={() => setOpen(null)} onDone={() => {
        setOpen(null);
        void again();
      }} />}
    </Card>
  );
}

function SettingDialog({ setting, onClose, onDone }: { setting: Setting; onClose: () => void; onDone: () => void }) {
  const texts = t();
  const [text, setText] = useState(String(setting.value));
  const value = typeof setting.value === 'number' ? Number(text) : typeof setting.value === 'boolean' ? text === 'true' : text;
  return (
    <ActionDialog title={setting.name} submit={texts.common.save} done={texts.settings.saved}
      call={text === String(setting.value) ? null : calls.patchSettings({ [setting.name]: value })} onClose={onClose} onDone={onDone}>
      <Field label={texts.settings.descriptions[setting.name] ?? setting.description} hint={typeof setting.value === 'number'
        ? texts.settings.limits(String(setting.minimum ?? 0), setting.maximum == null ? '…' : String(setting.maximum), String(setting.default)) : undefined}>
        {typeof setting.value === 'boolean' ? (
          <select value={text} onChange={(event) => setText(event.currentTarget.value)}>
            <option value="true">{texts.common.yes}</option><option value="false">{texts.common.no}</option>
          </select>
        ) : (
          <input type={typeof setting.value === 'number' ? 'number' : 'text'} min={setting.minimum ?? undefined} max={setting.maximum ?? undefined}
            value={text} onInput={(event) => setText(event.currentTarget.value)} />
        )}
      </Field>
    </ActionDialog>
  );
}

function RoleChoice({ role, onChange }: { role: Role; onChange: (role: Role) => void }) {
  const texts = t();
  return (
    <fieldset class="stack tight plain">
      <legend class="field-label">{texts.settings.role}</legend>
      {ROLES.map((one) => (
        <label class="choice" key={one}>
          <input type="radio" name="role" checked={role === one} onChange={() => onChange(one)} />
          <span><b>{texts.roles[one]}</b><span class="muted">{texts.settings.roleHints[one]}</span></span>
        </label>
      ))}
    </fieldset>
  );
}

function UsersCard() {
  const texts = t();
  const { items, error, again } = useList<User>(api.users);
  const [open, setOpen] = useState<{ kind: 'add' } | { kind: 'remove' | 'edit'; user: User } | null>(null);
  const done = () => {
    setOpen(null);
    void again();
  };
  return (
    <Card title={texts.settings.users} aside={may('createUser') && (
      <Button disabled={!canChange.value} onClick={() => setOpen({ kind: 'add' })}>{texts.settings.addUser}</Button>
    )}>
      <ProblemBox error={error} />
      {!items && !error && <Loading />}
      {items && (
        <Table caption={texts.settings.users} head={<><th>{texts.common.name}</th><th>{texts.common.role}</th><th>{texts.settings.lastLogin}</th><th><span class="sr">{texts.common.actions}</span></th></>}>
          {items.map((user) => (
            <tr key={user.name}>
              <td class="break"><strong>{user.name}</strong>{user.name === me.value?.name && <span class="muted"> ({texts.settings.you})</span>}</td>
              <td>{texts.roles[user.role]}</td>
              <td class="nowrap">{user.last_login_at ? format.clock(user.last_login_at, texts.locale) : texts.settings.never}</td>
              <td>
                <div class="actions">
                  {may('updateUser') && <Button disabled={!canChange.value} onClick={() => setOpen({ kind: 'edit', user })}>{texts.groups.edit}</Button>}
                  {may('deleteUser') && user.name !== me.value?.name && (
                    <Button kind="danger" disabled={!canChange.value} onClick={() => setOpen({ kind: 'remove', user })}>{texts.common.remove}</Button>
                  )}
                </div>
              </td>
            </tr>
          ))}
        </Table>
      )}
      {open?.kind === 'add' && <AddUserDialog onClose={() => setOpen(null)} onDone={done} />}
      {open?.kind === 'edit' && <EditUserDialog user={open.user} onClose={() => setOpen(null)} onDone={done} />}
      {open?.kind === 'remove' && (
        <ActionDialog title={texts.settings.removeUserTitle(open.user.name)} submit={texts.common.remove} danger done={texts.settings.removed}
          call={calls.deleteUser(open.user.name)} onClose={() => setOpen(null)} onDone={done}>
          <p>{texts.settings.removeUserText}</p>
        </ActionDialog>
      )}
    </Card>
  );
}

function AddUserDialog({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const texts = t();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  return (
    <ActionDialog title={texts.settings.addUserTitle} submit={texts.common.add} done={texts.settings.created}
      call={name && password ? calls.createUser({ name, role, password }) : null} onClose={onClose} onDone={onDone}>
      <Field label={texts.common.name}><input value={name} autocomplete="off" autofocus onInput={(event) => setName(event.currentTarget.value)} /></Field>
      <Field label={texts.login.password} hint={texts.login.rule}>
        <input type="password" value={password} autocomplete="new-password" onInput={(event) => setPassword(event.currentTarget.value)} />
      </Field>
      <RoleChoice role={role} onChange={setRole} />
    </ActionDialog>
  );
}

function EditUserDialog({ user, onClose, onDone }: { user: User; onClose: () => void; onDone: () => void }) {
  const texts = t();
  const [password, setPassword] = useState('');
  const [role, setRole] = useState(user.role);
  const changes = { ...(role !== user.role ? { role } : {}), ...(password ? { password } : {}) };
  return (
    <ActionDialog title={texts.settings.editUser(user.name)} submit={texts.common.save} done={texts.groups.saved}
      call={Object.keys(changes).length > 0 ? calls.patchUser(user.name, changes) : null} onClose={onClose} onDone={onDone}>
      <RoleChoice role={role} onChange={setRole} />
      <Field label={`${texts.login.fresh} (${texts.common.optional})`} hint={`${texts.login.rule} ${texts.settings.keepPassword}`}>
        <input type="password" value={password} autocomplete="new-password" onInput={(event) => setPassword(event.currentTarget.value)} />
      </Field>
    </ActionDialog>
  );
}

function TokensCard() {
  const texts = t();
  const { items, error, again } = useList<Token>(api.tokens);
  const [isAdding, setAdding] = useState(false);
  const [removed, setRemoved] = useState<Token | null>(null);
  const [secret, setSecret] = useState('');
  return (
    <Card title={texts.settings.tokens} aside={may('createToken') && (
      <Button disabled={!canChange.value} onClick={() => setAdding(true)}>{texts.settings.addToken}</Button>
    )}>
      <ProblemBox error={error} />
      {!items && !error && <Loading />}
      {items?.length === 0 && <Empty text={texts.settings.noTokens} />}
      {items && items.length > 0 && (
        <Table caption={texts.settings.tokens} head={
          <><th>{texts.common.name}</th><th>{texts.common.role}</th><th>{texts.common.by}</th><th>{texts.settings.lastUsed}</th><th>{texts.settings.expires}</th><th><span class="sr">{texts.common.actions}</span></th></>
        }>
          {items.map((token) => (
            <tr key={token.id}>
              <td class="break"><strong>{token.name}</strong></td>
              <td>{texts.roles[token.role]}</td>
              <td class="break">{token.created_by ?? ''}</td>
              <td class="nowrap">{token.last_used_at ? format.clock(token.last_used_at, texts.locale) : texts.settings.never}</td>
              <td class="nowrap">{token.expires_at ? format.clock(token.expires_at, texts.locale) : texts.settings.never}</td>
              <td class="num">{may('deleteToken') && <Button kind="danger" disabled={!canChange.value} onClick={() => setRemoved(token)}>{texts.common.remove}</Button>}</td>
            </tr>
          ))}
        </Table>
      )}
      {isAdding && <AddTokenDialog onClose={() => setAdding(false)} onDone={(made) => {
        setAdding(false);
        setSecret(made);
        void again();
      }} />}
      {secret && (
        <Dialog title={texts.settings.tokens} onClose={() => setSecret('')}>
          <div class="dialog-body">
            <p>{texts.settings.tokenOnce}</p>
            <div class="command">
              <code>{secret}</code>
              <Button kind="quiet" icon="copy" aria-label={texts.common.copyCurl} onClick={async () =>
                toast((await copyText(secret)) ? texts.common.copied : texts.common.copyFailed)} />
            </div>
          </div>
        </Dialog>
      )}
      {removed && (
        <ActionDialog title={texts.settings.removeTokenTitle(removed.name)} submit={texts.common.remove} danger done={texts.settings.removed}
          call={calls.deleteToken(removed.id ?? 0)} onClose={() => setRemoved(null)} onDone={() => {
            setRemoved(null);
            void again();
          }}>
          <p>{texts.settings.removeTokenText}</p>
        </ActionDialog>
      )}
    </Card>
  );
}

function AddTokenDialog({ onClose, onDone }: { onClose: () => void; onDone: (secret: string) => void }) {
  const texts = t();
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  const [days, setDays] = useState('');
  const body = { name, role, ...(days ? { expires_in_seconds: Math.round(Number(days) * 86400) } : {}) };
  return (
    <ActionDialog title={texts.settings.addTokenTitle} submit={texts.common.add}
      call={name ? calls.createToken(body) : null} onClose={onClose}
      onDone={(answer) => onDone((answer as Token).token ?? '')}>
      <Field label={texts.common.name}><input value={name} autofocus onInput={(event) => setName(event.currentTarget.value)} /></Field>
      <RoleChoice role={role} onChange={setRole} />
      <Field label={`${texts.settings.days} (${texts.common.optional})`}>
        <input type="number" min={1} max={3660} value={days} onInput={(event) => setDays(event.currentTarget.value)} />
      </Field>
    </ActionDialog>
  );
}

function BackupsCard() {
  const texts = t();
  const { items, error, again } = useList<Backup>(api.backups);
  return (
    <Card title={texts.settings.backups} aside={may('createBackup') && (
      <Button disabled={!canChange.value} onClick={async () => {
        try {
          await run(calls.createBackup());
          toast(texts.settings.backupMade);
        } catch (problem) {
          toast(explain(problem), 'bad');
        }
        void again();
      }}>{texts.settings.addBackup}</Button>
    )}>
      <p class="muted">{texts.settings.backupHint}</p>
      <ProblemBox error={error} />
      {!items && !error && <Loading />}
      {items?.length === 0 && <Empty text={texts.settings.noBackups} />}
      {items && items.length > 0 && (
        <Table caption={texts.settings.backups} head={<><th>{texts.common.created}</th><th>{texts.settings.file}</th><th class="num">{texts.settings.size}</th><th>{texts.common.by}</th></>}>
          {items.map((one) => (
            <tr key={one.id}>
              <td class="nowrap">{format.clock(one.created_at, texts.locale)}</td>
              <td><code class="break">{one.file ?? one.id}</code></td>
              <td class="num">{format.bytes(one.bytes)}</td>
              <td class="break">{one.created_by ?? ''}</td>
            </tr>
          ))}
        </Table>
      )}
    </Card>
  );
}
