// What the API answers, as far as the page uses it. Fields that a server may not know are optional:
// the page shows a dash for them.

import type { AuditEntry, Settings, Token as ListedToken } from './openapi';

export type { Backup, Me, Role, User } from './openapi';
export type AuditRow = AuditEntry;
export type Setting = Settings['settings'][number];
// Its secret is there in the answer to its creation only.
export type Token = ListedToken & { token?: string };

export type Id = string | number;

export type SlotState = 'unassigned' | 'normal' | 'locked' | 'migrating';

export interface Slot {
  slot: number;
  state: SlotState;
  group: number | null;
  target: number | null;
  keys?: number | null;
  bytes?: number | null;
  ops_per_second?: number | null;
}

export interface Server {
  addr: string;
  role: 'master' | 'replica';
  state: string;
  error?: string | null;
  movers?: string[];
  loading?: boolean;
  link_up?: boolean;
  engine?: string;
  version?: string;
  lag_bytes?: number | null;
  memory_bytes?: number | null;
  memory_max_bytes?: number | null;
  keys?: number | null;
  ops_per_second?: number | null;
  clients?: number | null;
}

export interface Group {
  id: number;
  name: string;
  weight: number;
  slots: number;
  servers: Server[];
  slots_leaving?: number;
  slots_arriving?: number;
}

export interface Progress {
  done: number;
  total: number;
  unit: string;
  rate_per_second?: number | null;
  rate_unit?: string;
  bytes_per_second?: number | null;
  eta_seconds?: number | null;
}

export type MigrationState =
  'pending' | 'running' | 'paused' | 'cancelling' | 'cancelled' | 'failed' | 'succeeded';

export interface Migration {
  id: Id;
  state: MigrationState;
  mover?: string | null;
  progress: Progress;
  keys_moved?: number;
  bytes_moved?: number;
  keys_left_estimate?: number | null;
  current_slots?: Range[];
  // null: unlimited.
  rate_limit_keys_per_second?: number | null;
  rate_limit_bytes_per_second?: number | null;
  parallel_slots?: number;
  warnings?: string[];
  problems?: string[];
  error?: string | null;
  created_by?: string;
  created_at?: string;
  started_at?: string | null;
  ended_at?: string | null;
  plan_id?: Id | null;
}

export interface MigrationSlot {
  slot: number;
  from: number;
  to: number;
  step: string;
  direction?: string;
}

export interface Range {
  from: number;
  to: number;
}

export interface PlanMove {
  ranges: Range[];
  from: number;
  to: number;
  slots?: number;
  keys?: number | null;
  bytes?: number | null;
}

export interface PlanShare {
  group_id: number;
  slots: number;
  keys?: number | null;
  bytes?: number | null;
  ops_per_second?: number | null;
}

export interface Plan {
  id: Id;
  topology_version: number;
  moves: PlanMove[];
  before: PlanShare[];
  after: PlanShare[];
  slots?: number;
  keys?: number | null;
  bytes?: number | null;
  eta_seconds?: number | null;
  warnings: string[];
  expires_at?: string;
}

export interface Problem {
  check: string;
  status: string;
  severity: string;
  since?: string | null;
  detail: string;
  hint?: string | null;
  objects?: string[];
}

export interface Cluster {
  name: string;
  topology_version: number;
  leader?: string | null;
  slots: Partial<Record<SlotState, number>>;
  groups: number;
  ops_per_second?: number | null;
  errors_per_second?: number | null;
  p50_us?: number | null;
  p99_us?: number | null;
  clients?: number | null;
  keys?: number | null;
  memory_bytes?: number | null;
  read_only?: boolean;
}

export interface Proxy {
  id: Id;
  name: string;
  addr: string;
  admin_url?: string | null;
  state: string;
  topology_version?: number;
  lease_left_seconds?: number | null;
  clients?: number | null;
  ops_per_second?: number | null;
  errors_per_second?: number | null;
  p50_us?: number | null;
  p99_us?: number | null;
  memory_bytes?: number | null;
  version?: string;
  uptime_seconds?: number | null;
}

export interface Client {
  id: Id;
  addr: string;
  name?: string;
  user?: string;
  age_seconds?: number;
}

export interface SlowCommand {
  id?: number;
  at?: string;
  duration_us?: number;
  command?: string;
  client?: string;
}

export interface ProblemDetails {
  title?: string;
  status: number;
  detail?: string;
  instance?: string;
  code: string;
  errors?: { pointer: string; code: string; detail: string }[];
  current_version?: number;
}

// The samples of a series, oldest first; null where nothing was measured.
export interface Series {
  times: number[];
  values: (number | null)[];
}
