// Made by types.mjs from docs/openapi.yaml: do not edit.

export type Problem = {
  type: string;
  title: string;
  status: number;
  // A stable word for programs.
  code: string;
  detail: string;
  // The request id
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
