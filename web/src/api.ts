// The only file that talks HTTP: one function per operation of the API.

import type { Call } from './lib/curl';
import { randomId } from './lib/random';
import { thin } from './lib/history';
import type { Series } from './types/openapi';
import type {
  AuditRow, Backup, Check, Cluster, CommandCount, Group, HotKey, Me, Migration, MigrationSlot, ProblemDetails, Proxy, ProxyClient, Role, Samples, Setting,
  Slot, SlotLookup, SlowRequest, Token, User,
} from './types/model';

const BASE = '/api/v1';
const TIMEOUT_MS = 30_000;

// What the server answered instead of what was asked for.
export class ApiError extends Error {
  constructor(readonly problem: ProblemDetails) {
    super(problem.detail ?? problem.title ?? problem.code);
  }
}

// Kept in memory only; the session itself is a cookie that scripts cannot read.
let csrfToken = '';
let onSessionEnd = () => {};

export function whenSessionEnds(handler: () => void): void {
  onSessionEnd = handler;
}

async function send(call: Call, creates = false): Promise<unknown> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (call.body !== undefined) headers['Content-Type'] = 'application/json';
  if (call.method !== 'GET') headers['X-CSRF-Token'] = csrfToken;
  if (call.version !== undefined) headers['If-Match'] = `"t${call.version}"`;
  if (creates) headers['Idempotency-Key'] = randomId();
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
  let response: Response;
  let text: string;
  try {
    response = await fetch(call.path, {
      method: call.method,
      headers,
      signal: abort.signal,
      credentials: 'same-origin',
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
    });
    text = await response.text();
  } catch {
    throw new ApiError({ status: 0, code: 'unreachable' });
  } finally {
    clearTimeout(timer);
  }
  let body: unknown = null;
  try {
    body = text === '' ? null : JSON.parse(text);
  } catch {
    if (response.ok) throw new ApiError({ status: response.status, code: 'unreadable' });
  }
  if (response.ok) return body;
  const problem = (body ?? {}) as Partial<ProblemDetails>;
  if (response.status === 401 && !call.path.endsWith('/auth/login')) onSessionEnd();
  throw new ApiError({ ...problem, status: response.status, code: problem.code ?? `http_${response.status}` });
}

const at = (...parts: (string | number)[]) => BASE + parts.map((part) => '/' + encodeURIComponent(part)).join('');

function query(path: string, parameters: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? path : `${path}?${text}`;
}

const get = async <T>(path: string) => (await send({ method: 'GET', path })) as T;

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

// Lists come under the name of what they hold, {"groups": [...], "next_cursor": null}.
async function list<T>(path: string): Promise<Page<T>> {
  const body = await get<Record<string, unknown> | T[]>(path);
  if (Array.isArray(body)) return { items: body, next_cursor: null };
  const items = Object.values(body).find(Array.isArray) as T[] | undefined;
  return { items: items ?? [], next_cursor: (body.next_cursor as string | null | undefined) ?? null };
}

// ---- Reading ----

export const api = {
  me: async () => {
    const me = await get<Me>(at('auth', 'me'));
    csrfToken = me.csrf_token ?? '';
    return me;
  },
  cluster: () => get<Cluster>(at('cluster')),
  health: () => list<Check>(at('cluster', 'health')),
  groups: () => list<Group>(query(at('groups'), { limit: 1000 })),
  slots: () => list<Slot>(at('slots')),
  lookup: (key: string) => get<SlotLookup>(query(at('slots', 'lookup'), { key })),
  migrations: () => list<Migration>(query(at('migrations'), { limit: 50 })),
  migrationSlots: (id: number) => list<MigrationSlot>(at('migrations', id, 'slots')),
  proxies: () => list<Proxy>(at('proxies')),
  proxyClients: (id: string) => list<ProxyClient>(at('proxies', id, 'clients')),
  hotKeys: (id: string) => list<HotKey>(at('proxies', id, 'hotkeys') + '?limit=20'),
  commands: (id: string) => list<CommandCount>(at('proxies', id, 'commands')),
  slowlog: (id: string) => list<SlowRequest>(at('proxies', id, 'slowlog')),
  // The last hour, with a value for each 10 s.
  series: async (metric: string): Promise<Samples> => {
    const { from, step_seconds, values } = await get<Series>(query(at('stats', 'series'), { metric, step: 1 }));
    const first = Date.parse(from) / 1000;
    return thin({ times: values.map((_, index) => first + index * step_seconds), values }, 10);
  },
  audit: (filter: Record<string, string | undefined>, cursor?: string) =>
    list<AuditRow>(query(at('audit'), { ...filter, cursor, limit: 100 })),
  settings: () => list<Setting>(at('settings')),
  users: () => list<User>(at('users')),
  tokens: () => list<Token>(at('tokens')),
  backups: () => list<Backup>(at('backups')),
  openapi: () => get<Record<string, unknown>>(at('openapi.json')),
};

// ---- Changing ----
// Each is a Call first, so that a dialog can show what it will send.

export interface PlanRequest {
  kind: 'rebalance' | 'drain' | 'move';
  strategy?: string;
  slots?: number[];
  target?: number;
  drain_groups?: number[];
  weights?: Record<string, number>;
  max_moves?: number;
}

export interface Limits {
  rate_limit_keys_per_second?: number;
  rate_limit_bytes_per_second?: number;
  parallel_slots?: number;
}

const call = (method: string, path: string, body?: unknown, version?: number): Call => ({
  method, path, ...(body === undefined ? {} : { body }), ...(version === undefined ? {} : { version }),
});

export const calls = {
  login: (name: string, password: string) => call('POST', at('auth', 'login'), { username: name, password }),
  logout: () => call('POST', at('auth', 'logout')),
  changePassword: (old_password: string, new_password: string) =>
    call('POST', at('auth', 'password'), { old_password, new_password }),
  createGroup: (
    body: { name?: string; servers: string[]; username?: string; password?: string; weight?: number }, version: number,
  ) => call('POST', at('groups'), body, version),
  patchGroup: (id: number, body: { name?: string; weight?: number }, version: number) =>
    call('PATCH', at('groups', id), body, version),
  deleteGroup: (id: number, version: number) => call('DELETE', at('groups', id), undefined, version),
  addServer: (id: number, addr: string, version: number) =>
    call('POST', at('groups', id, 'servers'), { addr }, version),
  removeServer: (id: number, addr: string, version: number) =>
    call('DELETE', at('groups', id, 'servers', addr), undefined, version),
  replicate: (id: number, addr: string, version: number) =>
    call('POST', at('groups', id, 'servers', addr, 'replicate'), undefined, version),
  promote: (id: number, body: { server: string; mode: 'graceful' | 'force'; expected_master: string; pause_migrations: boolean }, version: number) =>
    call('POST', at('groups', id, 'promote'), body, version),
  assign: (ranges: { from: number; to: number; group_id: number }[], version: number) =>
    call('PUT', at('slots', 'assignment'), { ranges }, version),
  plan: (body: PlanRequest) => call('POST', at('plans'), body),
  startPlan: (plan_id: number, limits: Limits) => call('POST', at('migrations'), { plan_id, ...limits }),
  setLimits: (id: number, limits: Limits) => call('PATCH', at('migrations', id), limits),
  migration: (id: number, action: 'pause' | 'resume' | 'retry') => call('POST', at('migrations', id, action)),
  cancelMigration: (id: number, in_flight: 'rollback' | 'finish') =>
    call('POST', at('migrations', id, 'cancel'), { in_flight }),
  removeProxy: (id: string) => call('DELETE', at('proxies', id)),
  proxyAction: (id: string, action: 'drain' | 'resync') => call('POST', at('proxies', id, action)),
  killClient: (id: string, client: number) => call('DELETE', at('proxies', id, 'clients', client)),
  patchSettings: (changes: Record<string, unknown>) => call('PATCH', at('settings'), changes),
  createUser: (body: { name: string; role: Role; password: string }) => call('POST', at('users'), body),
  patchUser: (name: string, body: { role?: Role; password?: string }) => call('PATCH', at('users', name), body),
  deleteUser: (name: string) => call('DELETE', at('users', name)),
  createToken: (body: { name: string; role: Role; expires_in_seconds?: number }) => call('POST', at('tokens'), body),
  deleteToken: (id: number) => call('DELETE', at('tokens', id)),
  importTopology: (body: Record<string, unknown>, version: number) => call('PUT', at('topology'), body, version),
  importCodis: (body: Record<string, unknown>, version: number) => call('POST', at('topology', 'import-codis'), body, version),
  createBackup: () => call('POST', at('backups')),
};

// Sends a change. `creates`: twice the same must not be done twice.
export async function run<T = unknown>(change: Call, creates = change.method === 'POST'): Promise<T> {
  return (await send(change, creates)) as T;
}

export async function login(name: string, password: string): Promise<void> {
  await run(calls.login(name, password), false);
}
