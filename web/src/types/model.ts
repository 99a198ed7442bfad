// The types of the API, with the few things that the page adds to them. openapi.ts is made from the
// document.

import type { AuditEntry, Cluster as Reported, HealthCheck, Migration, MigrationSlotList, Plan, Settings, Token as ListedToken } from './openapi';

export type {
  Backup, CommandCount, Group, HotKey, Me, Migration, MigrationState, Plan, Proxy, ProxyClient, Range, Role, Server, Slot, SlotLookup, SlowRequest, User,
} from './openapi';
export type AuditRow = AuditEntry;
export type Check = Omit<HealthCheck, 'since'> & { since: string | null };
export type MigrationSlot = MigrationSlotList['slots'][number];
export type PlanMove = Plan['moves'][number];
export type Progress = Migration['progress'];
export type Setting = Settings['settings'][number];
// Its secret is there in the answer to its creation only.
export type Token = ListedToken & { token?: string };

// What the events of topic "stats" bring anew each second.
export type Figures = {
  ops_per_second?: number | null;
  errors_per_second?: number | null;
  p50_us?: number | null;
  p99_us?: number | null;
  clients?: number | null;
};
export type Cluster = Omit<Reported, keyof Figures> & Figures & { read_only?: boolean };

// What the server answered instead; status 0: it did not.
export interface ProblemDetails {
  title?: string;
  status: number;
  detail?: string;
  instance?: string;
  code: string;
  errors?: { pointer: string; code: string; detail: string }[];
  current_version?: number;
}

// The samples of a series, oldest first; null where nothing was measured. Seconds since 1970.
export interface Samples {
  times: number[];
  values: (number | null)[];
}
