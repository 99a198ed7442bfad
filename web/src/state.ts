// What all views share: who is logged in, the cluster as the server last told, how old that is.

import { batch, computed, signal } from '@preact/signals';

import { api, ApiError, calls, login as apiLogin, run, whenSessionEnds } from './api';
import { t } from './i18n';
import { figuresOf, keepSame, mergeMigration, mergeSlots, mergeStats } from './lib/events';
import { pushSample, type History } from './lib/history';
import { connectLive, type Live } from './lib/live';
import type { StreamMessage } from './lib/stream';
import { route } from './router';
import type { Check, Cluster, Group, Me, Migration, Proxy, Slot } from './types/model';

// null: nobody. undefined: not known yet.
export const me = signal<Me | null | undefined>(undefined);
export const sessionExpired = signal(false);
export const cluster = signal<Cluster | null>(null);
export const groups = signal<Group[] | null>(null);
export const slots = signal<Slot[] | null>(null);
export const migrations = signal<Migration[] | null>(null);
export const proxies = signal<Proxy[] | null>(null);
export const health = signal<Check[] | null>(null);
export const loadProblem = signal<ApiError | null>(null);
export const history = signal<History>({ times: [], columns: {} });
// Counts audit events, for views that show them.
export const auditCount = signal(0);

// ---- How old it is ----

const STALE_MS = 5000;
export const now = signal(Date.now());
export const heardAt = signal(0);
const connected = signal(false);
export const ageSeconds = computed(() => Math.max(0, Math.round((now.value - heardAt.value) / 1000)));
export const liveState = computed<'live' | 'stale' | 'lost'>(() => {
  if (heardAt.value !== 0 && now.value - heardAt.value <= STALE_MS) return 'live';
  return connected.value ? 'stale' : 'lost';
});
export const isLive = computed(() => liveState.value === 'live');
export const readOnly = computed(() => cluster.value?.read_only === true);

// Whether the server would let this user do it, and the page knows enough to offer it.
export function may(operation: string): boolean {
  return me.value?.permissions.includes(operation) === true;
}
export const canChange = computed(() => isLive.value && !readOnly.value);

export const version = computed(() => cluster.value?.topology_version ?? 0);
export const groupById = computed(() => new Map((groups.value ?? []).map((group) => [group.id, group])));
export const masterOf = (group: Group) => group.servers.find(({ role }) => role === 'master');
export function groupName(id: number | null | undefined): string {
  if (id == null) return '';
  return groupById.value.get(id)?.name ?? `group-${id}`;
}
// What there is to see of a group that a change could be about; for ActionDialog's basis.
export function groupBasis(id: number): string {
  const group = groupById.value.get(id);
  return JSON.stringify(group && [group.name, group.weight, group.slots === 0, group.servers.map(({ addr, role }) => [addr, role])]);
}
export function slotsBasis(chosen: Iterable<number>): string {
  return JSON.stringify([...chosen].map((slot) => slots.value?.[slot]?.group ?? null));
}
export const activeMigrations = computed(() =>
  (migrations.value ?? []).filter(({ state }) => ['pending', 'running', 'paused', 'cancelling'].includes(state)));

// ---- Toasts ----

export interface Toast {
  id: number;
  text: string;
  kind: 'good' | 'bad';
  undo?: (() => void) | undefined;
}
export const toasts = signal<Toast[]>([]);
let toastCount = 0;
const TOAST_MS = 6000;

export function toast(text: string, kind: 'good' | 'bad' = 'good', undo?: () => void): void {
  const id = ++toastCount;
  toasts.value = [...toasts.value.slice(-3), { id, text, kind, undo }];
  setTimeout(() => dismissToast(id), TOAST_MS);
}
export function dismissToast(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

// ---- Loading ----

const loaders = {
  groups: async () => void (groups.value = (await api.groups()).items),
  slots: async () => void (slots.value = keepSame(slots.value, (await api.slots()).items)),
  migrations: async () => void (migrations.value = (await api.migrations()).items),
  proxies: async () => void (proxies.value = (await api.proxies()).items),
  health: async () => void (health.value = (await api.health()).items),
};
export type Part = 'cluster' | keyof typeof loaders;
const NEEDS: Record<Part, string> = {
  cluster: 'getCluster', groups: 'listGroups', slots: 'listSlots', migrations: 'listMigrations', proxies: 'listProxies',
  health: 'getHealth',
};
const ALL = Object.keys(NEEDS) as Part[];

const wanted = new Set<Part>();
let isLoading = false;
let loadTimer: ReturnType<typeof setTimeout> | undefined;
const GATHER_MS = 120;

// Soon, and together with what else is asked for until then; never two loads at a time.
export function reload(...parts: Part[]): void {
  for (const part of parts.length > 0 ? parts : ALL) wanted.add(part);
  if (!isLoading) {
    clearTimeout(loadTimer);
    loadTimer = setTimeout(load, GATHER_MS);
  }
}

async function load(): Promise<void> {
  if (!me.value || isLoading) return;
  isLoading = true;
  const parts = [...wanted].filter((part) => may(NEEDS[part]));
  wanted.clear();
  // The version is asked for first and shown last: what is on screen is never older than the version
  // that changes are made for, so nothing is changed that nobody has seen.
  let show = () => {};
  const first = await Promise.allSettled(parts.includes('cluster') ? [api.cluster()] : []);
  if (first[0]?.status === 'fulfilled') {
    const { value } = first[0];
    // Where events bring the figures, those are newer.
    show = () => (cluster.value = statsSeen > 0 ? { ...value, ...figuresOf(cluster.value) } : value);
  }
  const results = [
    ...first, ...(await Promise.allSettled(parts.flatMap((part) => (part === 'cluster' ? [] : [loaders[part]()])))),
  ];
  show();
  isLoading = false;
  if (results.length > 0 && results.every(({ status }) => status === 'fulfilled')) now.value = heardAt.value = Date.now();
  const failed = results.find((result) => result.status === 'rejected');
  loadProblem.value = failed?.reason instanceof ApiError ? failed.reason : null;
  if (wanted.size > 0) reload(...wanted);
}

// The statistics of the last hour, once; from there on they come as events.
const METRICS = ['ops_per_second', 'errors_per_second', 'p50_us', 'p99_us', 'clients'];

async function loadHistory(): Promise<void> {
  if (!may('getSeries')) return;
  const series = await Promise.all(METRICS.map((metric) => api.series(metric).catch(() => null)));
  const times = series.find((one) => one !== null)?.times;
  if (!times) return;
  history.value = {
    times,
    // Asked one after the other, they may differ by a sample.
    columns: Object.fromEntries(METRICS.map((metric, at) => [metric, times.map((_, index) => series[at]?.values[index] ?? null)])),
  };
}

// ---- Events ----

function hear(message: StreamMessage): void {
  if (message.kind === 'lost' || message.kind === 'refused') {
    connected.value = false;
    // 401 ends the session here; anything else is a server that is starting or gone.
    if (message.kind === 'refused' && me.value) void refreshMe();
    return;
  }
  batch(() => {
    connected.value = true;
    now.value = heardAt.value = Date.now();
    if (message.kind === 'resync') {
      reload();
      if (history.value.times.length === 0) void loadHistory();
      return;
    }
    const data = message.data as Record<string, unknown>;
    switch (message.topic) {
      case 'stats':
        if (cluster.value) cluster.value = mergeStats(cluster.value, data);
        history.value = pushSample(history.value, Math.floor(Date.now() / 1000), data, METRICS);
        // The figures of groups, proxies and slots are not in the event.
        if (++statsSeen % SLOW_EVERY === 0 && !document.hidden) {
          reload('groups', 'proxies', ...(route.peek().view === 'slots' ? ['slots' as const] : []));
        }
        break;
      case 'slots': {
        const merged = slots.value && mergeSlots(slots.value, data);
        if (merged) slots.value = merged;
        else reload('slots');
        haveSlotsMoved = true;
        // The event has all slots that differ from the version before, so what is on screen is of
        // this version, unless something else is on its way.
        const { topology_version } = data;
        if (merged && cluster.value && typeof topology_version === 'number' && !isLoading && !wanted.has('cluster')) {
          cluster.value = { ...cluster.value, topology_version };
        } else {
          reload('cluster');
        }
        break;
      }
      case 'migration': {
        const merged = migrations.value && mergeMigration(migrations.value, data);
        if (merged) migrations.value = merged;
        else reload('migrations');
        break;
      }
      case 'topology': {
        const { state, server, error } = (data.promotion ?? {}) as Partial<Record<string, string>>;
        if (server && state === 'succeeded') toast(t().groups.promotedTo(server));
        if (server && state === 'failed') toast(`${t().groups.notPromoted(server)} ${error}`, 'bad');
        reload('cluster', 'groups', 'slots', 'proxies');
        break;
      }
      case 'health':
        reload('health', 'groups', 'proxies');
        break;
      case 'audit':
        auditCount.value++;
        break;
    }
  });
}
let statsSeen = 0;
const SLOW_EVERY = 5;

// ---- Session ----

let live: Live | null = null;
let ticker: ReturnType<typeof setInterval> | undefined;

whenSessionEnds(() => {
  if (me.value) sessionExpired.value = true;
  leave();
});

function leave(): void {
  localStorage.removeItem(KEY);
  batch(() => {
    me.value = null;
    firstPassword = '';
    cluster.value = groups.value = slots.value = migrations.value = proxies.value = health.value = null;
    history.value = { times: [], columns: {} };
    heardAt.value = 0;
  });
  live?.close();
  live = null;
  clearInterval(ticker);
}

// Where events are held up on their way, or nothing happens, the page asks.
const QUIET_MS = 2500;
let askedAt = 0;
// Groups say how many slots they have: asked for once a second while slots move.
let haveSlotsMoved = false;

function tick(): void {
  now.value = Date.now();
  if (haveSlotsMoved) {
    haveSlotsMoved = false;
    reload('groups');
  }
  if (document.hidden || now.value - Math.max(heardAt.value, askedAt) < QUIET_MS) return;
  askedAt = now.value;
  if (connected.value) reload('cluster');
  else reload();
}

function enter(user: Me): void {
  me.value = user;
  localStorage.setItem(KEY, 'open');
  sessionExpired.value = false;
  if (user.must_change_password) return;
  live?.close();
  live = connectLive(hear);
  live.again();
  clearInterval(ticker);
  ticker = setInterval(tick, 1000);
  reload();
  void loadHistory();
}

async function refreshMe(): Promise<void> {
  try {
    const user = await api.me();
    if (!me.value || me.value.name !== user.name) enter(user);
    else me.value = user;
  } catch {
    // 401 has been dealt with; otherwise the stream tries again.
  }
}

// That somebody has logged in from this browser; the session itself is a cookie that scripts cannot
// see, and asking without one would be an error in the console of everybody's first visit.
const KEY = 'pikaproxy.session';

export async function start(): Promise<void> {
  if (localStorage.getItem(KEY) === null) return leave();
  for (;;) {
    try {
      enter(await api.me());
      loadProblem.value = null;
      return;
    } catch (error) {
      if (error instanceof ApiError && error.problem.status === 401) return leave();
      loadProblem.value = error as ApiError;
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

// What was just typed to log in, while it must be changed: it need not be typed again.
export let firstPassword = '';

export async function logIn(name: string, password: string): Promise<void> {
  await apiLogin(name, password);
  const user = await api.me();
  firstPassword = user.must_change_password ? password : '';
  enter(user);
}

export async function changePassword(old: string, fresh: string): Promise<void> {
  await run(calls.changePassword(old, fresh), false);
  firstPassword = '';
  enter(await api.me());
}

export async function logOut(): Promise<void> {
  try {
    await run(calls.logout(), false);
  } finally {
    leave();
  }
}
