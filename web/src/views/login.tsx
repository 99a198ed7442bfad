import { useState } from 'preact/hooks';

import { ApiError } from '../api';
import { Card, Field } from '../components/basics';
import { LanguageButton, ThemeButton } from '../components/tools';
import { ProblemBox } from '../components/problem';
import { t } from '../i18n';
import { changePassword, firstPassword, logIn, logOut, sessionExpired, toast } from '../state';

const iconUrl = () => document.querySelector<HTMLLinkElement>('link[rel=icon]')?.href ?? '';

export function Brand() {
  return <span class="brand"><img src={iconUrl()} alt="" />pikaproxy</span>;
}

export function LoginView() {
  const texts = t();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  return (
    <main class="login">
      <form
        onSubmit={async (event) => {
          event.preventDefault();
          setBusy(true);
          setError(null);
          try {
            await logIn(name, password);
          } catch (problem) {
            setError(problem);
            setPassword('');
            setBusy(false);
          }
        }}
      >
        <div class="row"><Brand /><span class="spring" /><span class="login-tools"><LanguageButton /><ThemeButton /></span></div>
        <Card>
          <div class="stack">
            <h1>{texts.login.title}</h1>
            {sessionExpired.value && <p class="note" role="status">{texts.login.expired}</p>}
            <Field label={texts.login.name}>
              <input name="username" autocomplete="username" value={name} autofocus required onInput={(event) => setName(event.currentTarget.value)} />
            </Field>
            <Field label={texts.login.password}>
              <input name="password" type="password" autocomplete="current-password" value={password} required
                onInput={(event) => setPassword(event.currentTarget.value)} />
            </Field>
            {error instanceof ApiError && error.problem.status === 401
              ? <p class="field-error" role="alert">{texts.login.wrong}</p>
              : <ProblemBox error={error} />}
            <button type="submit" class="button primary" disabled={isBusy}>{texts.login.submit}</button>
            <p class="muted small">{texts.login.first}</p>
          </div>
        </Card>
      </form>
    </main>
  );
}

export function PasswordForm({ onDone, isForced }: { onDone: () => void; isForced: boolean }) {
  const texts = t();
  const isKnown = isForced && firstPassword !== '';
  const [old, setOld] = useState(isKnown ? firstPassword : '');
  const [fresh, setFresh] = useState('');
  const [again, setAgain] = useState('');
  const [error, setError] = useState<unknown>(null);
  const differ = again !== '' && fresh !== again;
  return (
    <form
      class="stack"
      onSubmit={async (event) => {
        event.preventDefault();
        if (fresh !== again) return;
        try {
          await changePassword(old, fresh);
          toast(texts.login.changed);
          onDone();
        } catch (problem) {
          setError(problem);
        }
      }}
    >
      {isForced && <p class="note">{texts.login.mustChange}</p>}
      {!isKnown && (
        <Field label={texts.login.old}>
          <input type="password" autocomplete="current-password" value={old} autofocus required onInput={(event) => setOld(event.currentTarget.value)} />
        </Field>
      )}
      <Field label={texts.login.fresh} hint={texts.login.rule}>
        <input type="password" autocomplete="new-password" value={fresh} autofocus={isKnown} required minLength={8} onInput={(event) => setFresh(event.currentTarget.value)} />
      </Field>
      <Field label={texts.login.again} error={differ ? texts.login.differ : undefined}>
        <input type="password" autocomplete="new-password" value={again} required onInput={(event) => setAgain(event.currentTarget.value)} />
      </Field>
      <ProblemBox error={error} />
      <div class="row">
        <button type="submit" class="button primary" disabled={differ || fresh === '' || again === ''}>{texts.login.change}</button>
        {isForced && <button type="button" class="button" onClick={() => void logOut()}>{texts.top.logout}</button>}
      </div>
    </form>
  );
}

export function MustChangeView() {
  return (
    <main class="login">
      <div class="stack">
        <Brand />
        <Card title={t().login.change}><PasswordForm isForced onDone={() => {}} /></Card>
      </div>
    </main>
  );
}
