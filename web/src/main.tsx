import { render, type ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { Button, Card, Icon, Loading, Pill } from './components/basics';
import { Dialog } from './components/dialog';
import { ProblemBox } from './components/problem';
import { LanguageButton, ThemeButton } from './components/tools';
import { t } from './i18n';
import * as format from './lib/format';
import { go, route } from './router';
import {
  activeMigrations, ageSeconds, cluster, dismissToast, health, liveState, loadProblem, logOut, may, me, proxies, readOnly, start,
  toasts,
} from './state';
import { ApiView } from './views/api_doc';
import { AuditView } from './views/audit';
import { GroupsView } from './views/groups';
import { Brand, LoginView, MustChangeView, PasswordForm } from './views/login';
import { MigrationsView } from './views/migrations';
import { OverviewView } from './views/overview';
import { ProxiesView } from './views/proxies';
import { SettingsView } from './views/settings';
import { SlotsView } from './views/slots';
import { SlowlogView } from './views/slowlog';

type ViewName = 'overview' | 'slots' | 'migrations' | 'groups' | 'proxies' | 'slowlog' | 'audit' | 'settings' | 'api';

// What is in the menu: only what the server would show this user. `key`: after "g".
const VIEWS: { name: ViewName; view: ComponentType; key: string; needs: string }[] = [
  { name: 'overview', view: OverviewView, key: 'o', needs: 'getCluster' },
  { name: 'slots', view: SlotsView, key: 's', needs: 'listSlots' },
  { name: 'migrations', view: MigrationsView, key: 'm', needs: 'listMigrations' },
  { name: 'groups', view: GroupsView, key: 'g', needs: 'listGroups' },
  { name: 'proxies', view: ProxiesView, key: 'p', needs: 'listProxies' },
  { name: 'slowlog', view: SlowlogView, key: 'l', needs: 'getSlowlog' },
  { name: 'audit', view: AuditView, key: 'a', needs: 'listAudit' },
  { name: 'settings', view: SettingsView, key: 't', needs: 'getSettings' },
  { name: 'api', view: ApiView, key: 'i', needs: 'getOpenapi' },
];
const views = () => VIEWS.filter(({ needs }) => may(needs));

function LivePill() {
  const texts = t().live;
  if (liveState.value === 'live') return <Pill kind="good">{texts.live}</Pill>;
  const text = liveState.value === 'lost' ? texts.lost : texts.stale(format.duration(ageSeconds.value));
  return <Pill kind={liveState.value === 'lost' ? 'bad' : 'warn'} title={texts.staleHint}>{text}</Pill>;
}

function Figures() {
  const texts = t();
  const now = cluster.value;
  if (!now) return null;
  const known = proxies.value;
  const inStep = known?.filter(({ state }) => state === 'ready').length;
  return (
    <>
      <span class="figure"><b>{format.count(now.ops_per_second)}</b> {texts.top.ops}</span>
      <span class="figure"><b>{format.latency(now.p99_us || null)}</b> {texts.top.p99}</span>
      <span class="figure"><b>{format.count(now.clients)}</b> {texts.top.clients}</span>
      {known && <span class="figure"><b>{inStep}/{known.length}</b> {texts.proxies.inStep}</span>}
    </>
  );
}

function AccountMenu() {
  const texts = t();
  const [isOpen, setOpen] = useState(false);
  const [isChanging, setChanging] = useState(false);
  const host = useRef<HTMLDivElement>(null);
  const user = me.value;
  useEffect(() => {
    if (!isOpen) return;
    const close = (event: Event) => {
      if (event instanceof KeyboardEvent ? event.key === 'Escape' : !host.current?.contains(event.target as Node)) setOpen(false);
    };
    addEventListener('pointerdown', close);
    addEventListener('keydown', close);
    return () => {
      removeEventListener('pointerdown', close);
      removeEventListener('keydown', close);
    };
  }, [isOpen]);
  if (!user) return null;
  return (
    <div class="menu" ref={host}>
      <Button kind="quiet" icon="user" aria-expanded={isOpen} aria-label={`${texts.top.account}: ${user.name}`} onClick={() => setOpen(!isOpen)}>
        {user.name}
      </Button>
      {isOpen && (
        <div class="menu-list">
          <p class="menu-who break"><strong>{user.name}</strong><br /><span class="muted">{texts.roles[user.role]}</span></p>
          <Button kind="quiet" icon="lock" onClick={() => {
            setOpen(false);
            setChanging(true);
          }}>{texts.top.password}</Button>
          <Button kind="quiet" icon="close" onClick={() => void logOut()}>{texts.top.logout}</Button>
        </div>
      )}
      {isChanging && (
        <Dialog title={texts.login.change} onClose={() => setChanging(false)}>
          <div class="dialog-body"><PasswordForm isForced={false} onDone={() => setChanging(false)} /></div>
        </Dialog>
      )}
    </div>
  );
}

function KeyHelp({ onClose }: { onClose: () => void }) {
  const texts = t().keys;
  return (
    <Dialog title={texts.title} onClose={onClose}>
      <div class="dialog-body">
        <p><kbd>g</kbd> {texts.go}</p>
        <p><kbd>/</kbd> {texts.search}</p>
        <p><kbd>?</kbd> {texts.open}</p>
        <h3>{texts.grid}</h3>
        <ul>{[texts.arrows, texts.space, texts.enter, texts.esc, texts.all].map((text) => <li key={text}>{text}</li>)}</ul>
      </div>
    </Dialog>
  );
}

// "g s" goes to the slots, "/" to the page's field, "?" shows this.
function useKeys(onHelp: () => void): void {
  useEffect(() => {
    let afterG = 0;
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
      if (document.querySelector('dialog[open]')) return;
      if (event.key === 'g') {
        afterG = Date.now();
      } else if (Date.now() - afterG < 1500) {
        afterG = 0;
        const view = views().find(({ key }) => key === event.key);
        if (view) go(view.name);
      } else if (event.key === '/') {
        event.preventDefault();
        document.querySelector<HTMLInputElement>('[data-search]')?.focus();
      } else if (event.key === '?') {
        onHelp();
      }
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}

function Frame() {
  const texts = t();
  const [isHelp, setHelp] = useState(false);
  useKeys(() => setHelp(true));
  const all = views();
  const current = all.find(({ name }) => name === route.value.view) ?? all[0];
  const View = current?.view;
  const title = current ? texts.nav[current.name] : '';
  const name = cluster.value?.name ?? '';
  useEffect(() => {
    document.title = [title, name, 'pikaproxy'].filter(Boolean).join(' · ');
  }, [title, name]);
  // On a phone the menu is wider than the screen.
  useEffect(() => document.querySelector('nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }), [current?.name]);
  const count = activeMigrations.value.length;
  const problems = (health.value ?? []).filter(({ status }) => status !== 'ok').length;
  return (
    <div class={`frame ${liveState.value === 'live' ? '' : 'is-stale'}`}>
      <a class="skip" href="#content" onClick={(event) => {
        event.preventDefault();
        document.getElementById('content')?.focus();
      }}>{texts.nav.skip}</a>
      <aside class="side">
        <Brand />
        <nav aria-label={texts.nav.label}>
          {all.map((one) => (
            <a key={one.name} href={`#/${one.name}`} aria-current={one === current ? 'page' : undefined}>
              <Icon name={one.name} />{texts.nav[one.name]}
              {one.name === 'migrations' && count > 0 && <span class="nav-count">{count}</span>}
              {one.name === 'overview' && problems > 0 && <span class="nav-count bad">{problems}</span>}
            </a>
          ))}
        </nav>
      </aside>
      <div class="main">
        <header class="top">
          <span class="cluster" title={name}>{name}</span>
          <span role="status"><LivePill /></span>
          <Figures />
          <div class="tools"><LanguageButton /><ThemeButton /><AccountMenu /></div>
        </header>
        {liveState.value !== 'live' && <p class="banner" role="alert"><Icon name="warn" />{texts.live.staleHint}</p>}
        {readOnly.value && <p class="banner"><Icon name="lock" />{texts.top.readOnlyBanner}</p>}
        {me.value?.role === 'viewer' && <p class="banner"><Icon name="lock" />{texts.top.viewer}</p>}
        <main id="content" tabIndex={-1}>
          <h1 class="sr">{title}</h1>
          {loadProblem.value && liveState.value === 'live' && <Card><ProblemBox error={loadProblem.value} /></Card>}
          {View ? <View /> : null}
        </main>
      </div>
      {isHelp && <KeyHelp onClose={() => setHelp(false)} />}
    </div>
  );
}

function App() {
  const user = me.value;
  return (
    <>
      {user === undefined
        ? <main class="login"><div>{loadProblem.value ? <ProblemBox error={loadProblem.value} /> : <Loading />}</div></main>
        : user === null ? <LoginView /> : user.must_change_password ? <MustChangeView /> : <Frame />}
      <div class="toasts" role="status" aria-live="polite">
        {toasts.value.map((one) => (
          <div key={one.id} class={`toast ${one.kind}`}>
            <Icon name={one.kind === 'good' ? 'check' : 'warn'} />
            <span>{one.text}</span>
            {one.undo && <button type="button" onClick={() => {
              one.undo?.();
              dismissToast(one.id);
            }}>{t().migrations.undo}</button>}
          </div>
        ))}
      </div>
    </>
  );
}

const host = document.getElementById('app');
if (host) render(<App />, host);
void start();
