// A stand-in for the API, for working on the page without a cluster. It follows the contract as far
// as the page uses it, keeps everything in memory and invents the numbers.
//
//   node mock/server.mjs [PORT]     serves ../dist and the API; user admin, password admin

import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = join(dirname(fileURLToPath(import.meta.url)), '../dist');
const port = Number(process.argv[2] ?? 5173);
const SLOTS = 1024;
const OPERATIONS = [
  'getCluster', 'listSlots', 'listMigrations', 'listGroups', 'listProxies', 'listAudit', 'getSettings', 'getOpenapi', 'createGroup',
  'updateGroup', 'deleteGroup', 'addServer', 'removeServer', 'replicateServer', 'promoteServer', 'assignSlots', 'createPlan',
  'createMigration', 'updateMigration', 'pauseMigration', 'resumeMigration', 'cancelMigration', 'retryMigration', 'listUsers',
  'listTokens', 'listBackups', 'createBackup', 'createUser', 'updateUser', 'deleteUser', 'createToken', 'deleteToken', 'updateSettings',
  'getHealth', 'getSeries', 'resyncProxy', 'exportAudit', 'getSlowlog', 'getHotKeys', 'getCommands', 'exportTopology', 'importTopology', 'importCodis',
];

const state = {
  version: 42,
  groups: [1, 2, 3, 4, 5, 6].map((id) => group(id, `10.0.${id}.1:6379`)),
  slots: Array.from({ length: SLOTS }, (_, slot) => {
    const owner = slot < 1016 ? Math.floor(slot / 254) + 1 : null;
    return {
      slot, state: owner ? 'normal' : 'unassigned', group: owner, target: null,
      keys: owner ? 2000 + ((slot * 7919) % 9000) : 0, bytes: owner ? 300_000 + ((slot * 104729) % 6_000_000) : 0,
      ops_per_second: owner ? Math.floor(2 ** ((slot * 31) % 11)) : 0,
    };
  }),
  migrations: [],
  plans: new Map(),
  audit: [],
  nextId: 1,
  startedAt: Date.now(),
};
const streams = new Set();
let sequence = 0;

function group(id, addr) {
  return {
    id, name: `group-${id}`, weight: 1, username: '', has_password: false, 
    servers: [
      server(addr, 'master', 'up'),
      server(addr.replace('.1:', '.2:'), 'replica', 'up'),
    ],
  };
}

function server(addr, role, condition) {
  return {
    addr, role, state: condition, engine: 'redis', version: '7.0.15', lag_bytes: role === 'replica' ? 120 : null,
    memory_bytes: 2.1e9, memory_max_bytes: 4.3e9, keys: 1_412_000, ops_per_second: 23_000, clients: 12,
    error: null, link_up: true, loading: false, movers: ['migrate', 'copy'],
  };
}

function publish(topic, data) {
  for (const stream of streams) stream.write(`id: mock-${++sequence}\nevent: ${topic}\ndata: ${JSON.stringify(data)}\n\n`);
}

function record(action, object, after) {
  const row = { id: state.audit.length + 1, at: new Date().toISOString(), actor: 'admin', peer: '127.0.0.1', action, object, reason: '', status: 200, before: null, after };
  state.audit.unshift(row);
  publish('audit', row);
}

function changed() {
  state.version++;
  publish('topology', { topology_version: state.version });
}

function stats() {
  const wave = Math.sin(Date.now() / 20_000);
  return {
    ops_per_second: 141_000 + 4000 * wave, errors_per_second: Math.max(0, 3 * wave), p50_us: 180 + 20 * wave, p99_us: 480 + 120 * wave,
    clients: 1858, memory_bytes: 12e9, keys: state.slots.reduce((sum, { keys }) => sum + keys, 0),
  };
}

function showGroup(one) {
  const own = state.slots.filter(({ group: owner }) => owner === one.id);
  return {
    ...one, slots: own.length, keys: own.reduce((sum, { keys }) => sum + keys, 0), bytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
    ops_per_second: own.reduce((sum, slot) => sum + slot.ops_per_second, 0), ranges: own.map(({ slot }) => ({ from: slot, to: slot })),
  };
}

function shares(slots) {
  return state.groups.map(({ id }) => ({ group_id: id, slots: slots.filter(({ group: owner }) => owner === id).length, keys: 1, bytes: 1 }));
}

function makePlan(body) {
  const moves = [];
  const add = (slot, to) => {
    const from = state.slots[slot].group;
    let move = moves.find((one) => one.from === from && one.to === to);
    if (!move) moves.push(move = { from, to, slots: 0, ranges: [], keys: 0, bytes: 0, list: [] });
    move.list.push(slot);
  };
  if (body.kind === 'move') for (const slot of body.slots) add(slot, body.target);
  else {
    const avoid = new Set(body.drain_groups ?? []);
    const goals = state.groups.filter(({ id }) => !avoid.has(id)).map(({ id }) => id);
    const assigned = state.slots.filter(({ group: owner }) => owner);
    const share = Math.ceil(assigned.length / goals.length);
    const load = new Map(goals.map((id) => [id, assigned.filter(({ group: owner }) => owner === id).length]));
    for (const slot of assigned) {
      const from = slot.group;
      if (load.has(from) && load.get(from) <= share) continue;
      const to = goals.find((id) => load.get(id) < share);
      if (to === undefined) break;
      if (load.has(from)) load.set(from, load.get(from) - 1);
      load.set(to, load.get(to) + 1);
      add(slot.slot, to);
    }
  }
  const after = state.slots.map((slot) => ({ ...slot }));
  for (const move of moves) {
    for (const slot of move.list) {
      after[slot].group = move.to;
      move.keys += state.slots[slot].keys;
      move.bytes += state.slots[slot].bytes;
      const last = move.ranges.at(-1);
      if (last?.to === slot - 1) last.to = slot;
      else move.ranges.push({ from: slot, to: slot });
    }
    move.slots = move.list.length;
  }
  const plan = {
    id: state.nextId++, topology_version: state.version, kind: body.kind, strategy: body.strategy ?? 'slots', moves, before: shares(state.slots),
    after: shares(after), warnings: ['group-4 is degraded: its replica is 40 MB behind.'], eta_seconds: 47,
    expires_at: new Date(Date.now() + 600_000).toISOString(),
  };
  state.plans.set(plan.id, plan);
  return plan;
}

function startMigration(plan) {
  const list = plan.moves.flatMap(({ list: slots, from, to }) => slots.map((slot) => ({ slot, from, to, step: 'pending', direction: 'forward' })));
  const migration = {
    id: state.nextId++, state: 'running', mover: 'migrate', progress: { done: 0, total: list.length, unit: 'slots', rate_per_second: 52_000, rate_unit: 'keys', eta_seconds: 60 },
    keys_moved: 0, bytes_moved: 0, keys_left_estimate: 100_000, current_slots: [], rate_limit_keys_per_second: null, rate_limit_bytes_per_second: null,
    parallel_slots: 8, warnings: [], problems: [], error: null, created_by: 'admin', created_at: new Date().toISOString(),
    started_at: new Date().toISOString(), ended_at: null, plan_id: plan.id, list,
  };
  state.migrations.unshift(migration);
  return migration;
}

const showMigration = ({ list, ...rest }) => rest;

function work() {
  for (const migration of state.migrations) {
    if (migration.state !== 'running') continue;
    const touched = [];
    for (const entry of migration.list) {
      const slot = state.slots[entry.slot];
      if (entry.step === 'migrating') {
        Object.assign(slot, { state: 'normal', group: entry.to, target: null });
        entry.step = 'done';
        migration.progress.done++;
        migration.keys_moved += slot.keys;
        migration.bytes_moved += slot.bytes;
        touched.push(slot);
      }
    }
    for (const entry of migration.list.filter((one) => one.step === 'pending').slice(0, migration.parallel_slots)) {
      entry.step = 'migrating';
      Object.assign(state.slots[entry.slot], { state: 'migrating', target: entry.to });
      touched.push(state.slots[entry.slot]);
    }
    migration.progress.eta_seconds = (migration.progress.total - migration.progress.done) / 8;
    if (migration.progress.done === migration.progress.total) {
      Object.assign(migration, { state: 'succeeded', ended_at: new Date().toISOString() });
    }
    publish('slots', { topology_version: state.version, slots: touched });
    publish('migration', showMigration(migration));
  }
}

const problem = (status, code, detail) => ({ status, problem: { type: `/problems/${code}`, title: code, status, detail, code, instance: 'mock' } });

// What answers a path: [method, pattern, (body, parameters) => answer].
const ROUTES = [
  ['GET', '/auth/me', () => ({ name: 'admin', role: 'admin', permissions: OPERATIONS, csrf_token: 'mock', must_change_password: false })],
  ['GET', '/cluster', () => ({
    name: 'demo-prod', topology_version: state.version, slots: {}, groups: state.groups.length, proxies: 3, ...stats(),
  })],
  ['GET', '/cluster/health', () => ({ checks: [
    { check: 'replication_lag', status: 'failing', severity: 'warning', since: new Date(Date.now() - 9e5).toISOString(), detail: 'The replica 10.0.4.2:6379 of group-4 is 40 MB behind.', hint: 'Look at the load of both servers and the network between them.', objects: ['groups/4'] },
  ] })],
  ['GET', '/groups', () => ({ groups: state.groups.map(showGroup), next_cursor: null })],
  ['POST', '/groups', (body) => {
    const made = { ...group(Math.max(0, ...state.groups.map(({ id }) => id)) + 1, body.servers[0]), ...(body.name ? { name: body.name } : {}) };
    state.groups.push(made);
    record('createGroup', `groups/${made.id}`, made);
    changed();
    return showGroup(made);
  }],
  ['DELETE', '/groups/(\\d+)', (_, [id]) => {
    state.groups = state.groups.filter((one) => one.id !== Number(id));
    changed();
    return null;
  }],
  ['GET', '/slots', () => ({ topology_version: state.version, slots: state.slots })],
  ['PUT', '/slots/assignment', ({ ranges }) => {
    for (const { from, to, group_id } of ranges) for (let slot = from; slot <= to; slot++) Object.assign(state.slots[slot], { state: 'normal', group: group_id });
    record('assignSlots', 'slots', { ranges });
    changed();
    return {};
  }],
  ['GET', '/slots/lookup', () => ({ slot: 420, group: 2, server: '10.0.2.1:6379' })],
  ['POST', '/plans', (body) => makePlan(body)],
  ['GET', '/migrations', () => ({ migrations: state.migrations.map(showMigration), next_cursor: null })],
  ['POST', '/migrations', (body) => {
    const plan = state.plans.get(body.plan_id);
    if (plan.topology_version !== state.version) return problem(412, 'stale_version', 'The topology has changed.');
    const migration = startMigration(plan);
    record('createMigration', `migrations/${migration.id}`, { plan_id: plan.id });
    changed();
    return showMigration(migration);
  }],
  ['PATCH', '/migrations/(\\d+)', (body, [id]) => showMigration(Object.assign(find(id), body))],
  ['GET', '/migrations/(\\d+)/slots', (_, [id]) => ({ slots: find(id).list, next_cursor: null })],
  ...['pause', 'resume', 'cancel', 'retry'].map((action) => ['POST', `/migrations/(\\d+)/${action}`, (_, [id]) => {
    const migration = find(id);
    migration.state = { pause: 'paused', resume: 'running', cancel: 'cancelled', retry: 'running' }[action];
    record(`${action}Migration`, `migrations/${id}`, null);
    publish('migration', showMigration(migration));
    return showMigration(migration);
  }]),
  ['GET', '/proxies', () => ({ proxies: [0, 1, 2].map((at) => ({
    id: `p${at + 1}`, name: `proxy-${at + 1}`, addr: `10.0.0.${at + 1}:19000`, admin_url: at ? `http://10.0.0.${at + 1}:19001` : null, state: at === 2 ? 'behind' : 'ready', problem: null,
    topology_version: at === 2 ? state.version - 1 : state.version, lease_left_seconds: at ? 8 : null, clients: 620, ops_per_second: 47_000,
    errors_per_second: 0, p50_us: 180, p99_us: 470, memory_bytes: 9.1e7, version: '0.1.0', uptime_seconds: (Date.now() - state.startedAt) / 1000,
  })) })],
  ['GET', '/proxies/p\\d/slowlog', () => ({ slowlog: [
    { id: 1, at: new Date().toISOString(), total_us: 41_200, server_us: 40_900, args: ['SMEMBERS', 'all:users'], client: '10.0.9.7:53122', client_name: '', server: '10.0.2.1:6379' },
  ] })],
  ['GET', '/proxies/p\\d/hotkeys', () => ({ hotkeys: [{ key: 'user:{42}:name', key_base64: null, key_bytes: 14, slot: 420, group: 2, ops_per_second: 2100 }] })],
  ['GET', '/proxies/p\\d/commands', () => ({ commands: [{ name: 'get', calls: 9_120_400, errors: 0, total_us: 1.6e9 }, { name: 'set', calls: 812_000, errors: 3, total_us: 2e8 }] })],
  ['GET', '/topology', () => ({ format: 'pikaproxy-topology-1', name: 'demo-prod', topology_version: state.version, groups: state.groups.map(showGroup), slots: [] })],
  ['PUT', '/topology', () => ({ dry_run: true, difference: { groups: { added: [], changed: [], removed: [state.groups[0]] }, slots: [] }, result: null })],
  ['GET', '/stats/series', (_, __, query) => {
    const from = Date.now() - 3_600_000;
    const base = { ops_per_second: 141_000, errors_per_second: 2, p50_us: 180, p99_us: 480, clients: 1858 }[query.get('metric')] ?? 0;
    return { metric: query.get('metric'), from: new Date(from).toISOString(), step_seconds: 1, values: Array.from({ length: 3600 }, (_, at) => base * (1 + 0.05 * Math.sin(at / 200) + 0.02 * Math.sin(at / 17))) };
  }],
  ['GET', '/audit', () => ({ entries: state.audit, next_cursor: null })],
  ['GET', '/settings', () => ({ settings: [{ name: 'migration_parallel_slots', value: 512, default: 512, source: 'default', minimum: 1, maximum: 1024, description: 'Slots that a new migration has in work at a time' }] })],
  ['GET', '/users', () => ({ users: [{ name: 'admin', role: 'admin', last_login_at: new Date().toISOString() }] })],
  ['GET', '/tokens', () => ({ tokens: [] })],
  ['GET', '/backups', () => ({ backups: [] })],
  ['GET', '/openapi.json', () => ({ openapi: '3.1.0', paths: {} })],
];

const find = (id) => state.migrations.find((one) => one.id === Number(id));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

function serveFile(path, response) {
  const file = join(dist, normalize(path === '/' ? '/index.html' : path));
  if (!file.startsWith(dist) || !existsSync(file)) return void response.writeHead(404).end();
  response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream', 'Content-Security-Policy': "default-src 'self'; frame-ancestors 'none'" });
  createReadStream(file).pipe(response);
}

createServer(async (request, response) => {
  const url = new URL(request.url, 'http://mock');
  if (!url.pathname.startsWith('/api/v1')) return serveFile(url.pathname, response);
  const path = url.pathname.slice('/api/v1'.length);
  const isIn = /mock=in/.test(request.headers.cookie ?? '');
  const answer = (status, body, headers = {}) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(body === null ? '' : JSON.stringify(body));
  };
  let text = '';
  for await (const chunk of request) text += chunk;
  const body = text ? JSON.parse(text) : {};
  if (path === '/auth/login') {
    if (body.password !== 'admin') return answer(401, problem(401, 'login_failed', 'Wrong.').problem);
    return answer(200, {}, { 'Set-Cookie': 'mock=in; HttpOnly; SameSite=Strict; Path=/' });
  }
  if (!isIn) return answer(401, problem(401, 'unauthorized', 'Log in.').problem);
  if (path === '/auth/logout') return answer(204, null, { 'Set-Cookie': 'mock=; Max-Age=0; Path=/' });
  if (path === '/events') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write('retry: 2000\n\n');
    streams.add(response);
    request.on('close', () => streams.delete(response));
    return;
  }
  for (const [method, pattern, handler] of ROUTES) {
    const match = new RegExp(`^${pattern}$`).exec(path);
    if (!match || method !== request.method) continue;
    const result = handler(body, match.slice(1).map(decodeURIComponent), url.searchParams);
    return result?.problem ? answer(result.status, result.problem) : answer(result === null ? 204 : 200, result);
  }
  answer(404, problem(404, 'not_found', `The mock has no ${request.method} ${path}.`).problem);
}).listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/`));

setInterval(() => publish('stats', stats()), 1000);
setInterval(work, 500);
