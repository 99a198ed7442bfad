// Made by types.mjs from docs/openapi.yaml: do not edit.

export type Problem = {
  type: string;
  title: string;
  status: number;
  // A stable word for programs.
  code: string;
  detail: string;
  // The request id, as in the log and the audit.
  instance?: string;
  errors?: {
    pointer: string;
    code: string;
    detail: string;
  }[];
  current_version?: number;
  retry_after_seconds?: number;
};

export type Time = string;

export type OptionalTime = string | null;

export type Role = "viewer" | "operator" | "admin";

export type Name = string;

export type NewPassword = string;

export type Me = {
  name: string;
  role: Role;
  // Ids of operations.
  permissions: string[];
  // null with a bearer token.
  csrf_token: string | null;
  must_change_password: boolean;
  session_timeout_seconds: number | null;
};

export type User = {
  name: Name;
  role: Role;
  must_change_password: boolean;
  created_at: Time;
  last_login_at: OptionalTime;
};

export type AclCommands = string;

export type AclPatterns = string[];

export type OptionalReadFrom = "master" | "prefer_replica" | "replica" | "nearest" | null;

export type AclUser = {
  name: string;
  source: "api" | "file" | "built_in";
  // false: the configuration file has another of that name.
  in_force: boolean;
  enabled: boolean;
  // Administration of the proxy and of all groups.
  admin: boolean;
  password_count: number;
  commands: string;
  keys: string[];
  channels: string[];
  read_only: boolean;
  read_from: OptionalReadFrom;
  replica_max_lag_ms: number | null;
  created_at: OptionalTime;
  updated_at: OptionalTime;
};

export type Token = {
  id: number | null;
  name: Name;
  role: Role;
  created_by: string;
  created_at: Time;
  expires_at: OptionalTime;
  last_used_at: OptionalTime;
};

export type AuditEntry = {
  id: number;
  at: Time;
  actor: string;
  peer: string;
  action: string;
  object: string;
  reason: string;
  request_id: string;
  status: number;
  dry_run: boolean;
  before: unknown;
  after: unknown;
};

export type Settings = {
  settings: ({
    name: string;
    value: number | boolean;
    default: number | boolean;
    source: "default" | "runtime";
    minimum: number | null;
    maximum: number | null;
    description: string;
  })[];
};

export type Backup = {
  id: number;
  file: string;
  bytes: number;
  created_by: string;
  created_at: Time;
};

export type OptionalInteger = number | null;

export type OptionalText = string | null;

export type GroupId = number;

export type SlotId = number;

export type Credential = string;

export type ServerAddress = string;

export type SlotState = "unassigned" | "normal" | "locked" | "migrating";

export type MigrationState = "pending" | "running" | "paused" | "cancelling" | "cancelled" | "failed" | "succeeded";

export type Mover = "migrate" | "slots" | "copy" | null;

export type Range = {
  from: SlotId;
  to: SlotId;
};

export type GroupRange = {
  from: SlotId;
  to: SlotId;
  group_id: GroupId;
};

export type Cluster = {
  name: string;
  topology_version: number;
  // The process that decides about the cluster, by the name of its proxy.
  leader: string;
  // How many are in each state.
  slots: Record<string, number>;
  groups: number;
  proxies: {
    name: string;
    // In force there; 0 before the first.
    topology_version: number;
  }[];
  // Connected to the proxies.
  clients: number;
  // Of all masters.
  keys: number;
  // Of all masters.
  memory_bytes: number;
  // Through the proxies.
  ops_per_second: number;
  // Half of the last second's requests took no longer.
  p50_us: number;
  // 99 of 100 took no longer.
  p99_us: number;
  active_migrations: Migration[];
  // How many checks fail; see /cluster/health.
  problems: number;
};

export type TopologyServer = {
  addr: ServerAddress;
  role: "master" | "replica";
};

export type TopologyGroup = {
  id: GroupId;
  name: string;
  username?: Credential;
  password?: Credential;
  has_password?: boolean;
  weight?: number;
  servers: TopologyServer[];
};

export type Topology = {
  format: "pikaproxy-topology-1";
  // Of the cluster.
  name: string;
  topology_version: number;
  groups: TopologyGroup[];
  slots: GroupRange[];
};

export type TopologyImport = {
  format: "pikaproxy-topology-1";
  // Ignored.
  name?: string;
  // That the change is made for.
  topology_version?: number;
  groups: TopologyGroup[];
  slots: GroupRange[];
  force?: boolean;
};

export type Difference = {
  topology_version: {
    from: number;
    to: number;
  };
  groups: {
    added: Group[];
    changed: Record<string, unknown>[];
    removed: Group[];
  };
  slots: {
    from: SlotId;
    to: SlotId;
    before: Record<string, unknown>;
    after: Record<string, unknown>;
  }[];
};

export type DryRun = {
  dry_run: true;
  difference: Difference;
  result: Record<string, unknown> | null;
  warnings?: string[];
};

export type Changed = {
  topology_version: number;
  // All proxies work by it. They are told until they do.
  in_force: boolean;
};

export type AnyReply = Changed | DryRun;

export type TopologyReply = AnyReply;

export type AssignmentReply = AnyReply;

export type Server = {
  addr: ServerAddress;
  // In the group.
  role: "master" | "replica";
  state?: "unknown" | "up" | "suspect" | "down";
  state_since?: OptionalTime;
  error?: OptionalText;
  engine?: string;
  version?: string;
  // What it says itself.
  reported_role?: "master" | "replica";
  master_addr?: OptionalText;
  // Of a replica to its master.
  link_up?: boolean;
  lag_bytes?: number;
  memory_bytes?: number;
  // 0 = no limit.
  memory_max_bytes?: number;
  keys?: number;
  ops_per_second?: number;
  clients?: number;
  uptime_seconds?: number;
  loading?: boolean;
  movers?: ("migrate" | "slots" | "copy")[];
};

export type Group = {
  id: GroupId;
  name: string;
  username: string;
  has_password: boolean;
  weight: number;
  slots: number;
  slots_leaving: number;
  slots_arriving: number;
  ranges: Range[];
  servers: Server[];
  // The one that is under way.
  promotion?: {
    id: number;
    server: string;
    mode: "graceful" | "force";
    step: "checking" | "pausing" | "locking" | "promoting" | "repointing";
  } | {
    id: number;
    server: string;
    mode: "graceful" | "force";
    step: "checking" | "pausing" | "locking" | "promoting" | "repointing";
  };
};

export type GroupReply = Group;

export type GroupList = {
  groups: Group[];
  next_cursor: OptionalText;
  topology_version: number;
};

export type GroupCreate = {
  // That the change is made for.
  topology_version?: number;
  id?: GroupId;
  name?: string;
  username?: Credential;
  password?: string;
  weight?: number;
  servers: ServerAddress[];
};

export type GroupUpdate = {
  // That the change is made for.
  topology_version?: number;
  name?: string;
  username?: Credential;
  password?: string;
  weight?: number;
};

export type ServerAdd = {
  // That the change is made for.
  topology_version?: number;
  addr: ServerAddress;
};

export type Slot = {
  slot: SlotId;
  state: SlotState;
  group: OptionalInteger;
  target: OptionalInteger;
  keys: OptionalInteger;
  bytes: OptionalInteger;
  counted_at: OptionalTime;
  ops_per_second: OptionalInteger;
  migration_id?: OptionalInteger;
  topology_version?: number;
};

export type SlotList = {
  topology_version: number;
  slots?: Slot[];
  ranges?: {
    from: SlotId;
    to: SlotId;
    state: SlotState;
    group: OptionalInteger;
    target: OptionalInteger;
  }[];
};

export type SlotLookup = {
  key: string;
  // What decides the slot.
  hash_part: string;
  crc32: number;
  slot: SlotId;
  state: SlotState;
  group: OptionalInteger;
  target: OptionalInteger;
  server: OptionalText;
  topology_version: number;
};

export type SlotAssignment = {
  // That the change is made for.
  topology_version?: number;
  ranges: GroupRange[];
  force?: boolean;
};

export type PlanCreate = {
  kind: "rebalance" | "drain" | "move";
  strategy?: "slots" | "keys" | "bytes" | "ops";
  slots?: SlotId[];
  ranges?: Range[];
  target?: GroupId;
  drain_groups?: GroupId[];
  // Instead of the groups' own, by id.
  weights?: Record<string, number>;
  max_moves?: number;
};

export type Share = {
  group_id: GroupId;
  slots: number;
  keys: number;
  bytes: number;
  ops_per_second: number;
};

export type Plan = {
  id: number;
  topology_version: number;
  kind: string;
  strategy: string;
  moves: {
    ranges: Range[];
    // How many.
    slots: number;
    from: GroupId;
    to: GroupId;
    // 0 where the strategy needs no counting.
    keys: number;
    bytes: number;
  }[];
  before: Share[];
  after: Share[];
  eta_seconds: OptionalInteger;
  warnings: string[];
  created_by: string;
  created_at: Time;
  expires_at: Time;
  // The topology has changed since.
  is_stale?: boolean;
  dry_run?: boolean;
};

export type PlanList = {
  plans: Plan[];
  next_cursor: OptionalText;
};

export type PlanRemoved = {
  id: number;
  removed: boolean;
  dry_run?: boolean;
};

export type MigrationCreate = {
  plan_id?: number;
  slots?: SlotId[];
  ranges?: Range[];
  target_group?: GroupId;
  rate_limit_keys_per_second?: number | null;
  rate_limit_bytes_per_second?: number | null;
  parallel_slots?: number;
};

export type MigrationUpdate = {
  rate_limit_keys_per_second?: number | null;
  rate_limit_bytes_per_second?: number | null;
  parallel_slots?: number;
};

export type MigrationCancel = {
  in_flight?: "rollback" | "finish";
};

export type Migration = {
  id: number;
  state: MigrationState;
  mover: Mover;
  routes: {
    from: GroupId;
    to: GroupId;
    ranges: Range[];
    mover: Mover;
  }[];
  progress: {
    done: number;
    total: number;
    unit: "slots";
    rate_per_second: number;
    rate_unit: "keys";
    bytes_per_second: number;
    eta_seconds: OptionalInteger;
  };
  // How many slots are at each step.
  steps: Record<string, number>;
  keys_moved: number;
  bytes_moved: number;
  keys_left_estimate: number;
  current_slots: Range[];
  rate_limit_keys_per_second: OptionalInteger;
  rate_limit_bytes_per_second: OptionalInteger;
  parallel_slots: number;
  plan_id: OptionalInteger;
  // In its way now; it is tried again.
  problems: string[];
  warnings: string[];
  error: OptionalText;
  created_by: string;
  created_at: Time;
  started_at: OptionalTime;
  ended_at: OptionalTime;
  dry_run?: boolean;
};

export type MigrationDryRun = {
  dry_run: true;
  before: Record<string, unknown>;
  after: Record<string, unknown>;
};

export type MigrationReply = Migration | MigrationDryRun;

export type MigrationList = {
  migrations: Migration[];
  next_cursor: OptionalText;
};

export type MigrationSlotList = {
  id: number;
  slots: ({
    slot: SlotId;
    from: GroupId;
    to: GroupId;
    step: "pending" | "preparing" | "migrating" | "finishing" | "done" | "cancelling" | "returning" | "dropped" | "held" | "target_stands" | "source_stands";
    direction: "forward" | "back";
  })[];
};

export type HealthCheck = {
  check: string;
  status: "ok" | "failing";
  severity: "info" | "warning" | "critical";
  since: Time;
  detail: string;
  hint: string;
  objects: string[];
};

export type Promotion = {
  id: number | null;
  group: number;
  server: string;
  old_master: string;
  mode: "graceful" | "force";
  pause_migrations: boolean;
  state: "running" | "succeeded" | "failed";
  step: "checking" | "pausing" | "locking" | "promoting" | "repointing" | "succeeded" | "failed";
  progress: Record<string, unknown>;
  problem: string | null;
  error: string | null;
  warnings: string[];
  excluded: {
    server: string;
    reason: string;
  }[];
  created_by: string;
  created_at: Time;
  ended_at: OptionalTime;
};

export type ServerRole = {
  addr: string;
  role: "master" | "replica";
  master: string | null;
  link_up: boolean | null;
};

export type Proxy = {
  id: string;
  name: string;
  addr: string;
  admin_url: string | null;
  state: "ready" | "behind";
  problem: string | null;
  topology_version: number;
  lease_left_seconds: number | null;
  clients: number;
  ops_per_second: number;
  errors_per_second: number;
  p50_us: number;
  p99_us: number;
  memory_bytes: number;
  version: string;
  uptime_seconds: number;
};

export type ProxyClient = {
  id: number;
  addr: string;
  name: string;
  user: string;
  library: string;
  last_command: string;
  db: number;
  age_seconds: number;
  idle_seconds: number;
  queued_requests: number;
  output_bytes: number;
};

export type SlowRequest = {
  id: number;
  at: Time;
  total_us: number;
  server_us: number;
  args: string[];
  client: string;
  client_name: string;
  server: string | null;
};

export type HotKey = {
  // Null where it is not UTF-8.
  key: string | null;
  // Where key is null.
  key_base64: string | null;
  // Of the whole key.
  key_bytes: number;
  slot: number;
  group: number | null;
  ops_per_second: number;
};

export type CommandCount = {
  name: string;
  calls: number;
  errors: number;
  total_us: number;
};

export type Series = {
  metric: string;
  from: Time;
  step_seconds: number;
  values: (number | null)[];
};

export type CodisImport = {
  topology_version: number;
  changed: boolean;
  groups_added: Record<string, unknown>[];
  warnings: string[];
};
