// Documents of topologies: what is in a text, and what the server says it would change.

type Body = Record<string, unknown>;
export type Document = { kind: 'topology' | 'codis'; body: Body } | { kind: 'broken' | 'unknown' };

export function readDocument(text: string): Document {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return { kind: 'broken' };
  }
  if (typeof read !== 'object' || read === null || Array.isArray(read)) return { kind: 'unknown' };
  // The version of an export is the one it was made at; the change is made for the present one.
  const { topology_version: _, ...body } = read as Body;
  if ('format' in body) return { kind: 'topology', body };
  return 'slots' in body && 'group' in body ? { kind: 'codis', body } : { kind: 'unknown' };
}

export interface NamedGroup {
  id: number;
  name: string;
  text: string;
}
export interface Difference {
  isEmpty: boolean;
  added: NamedGroup[];
  changed: NamedGroup[];
  removed: NamedGroup[];
  slots: { from: number; to: number; before: number | null; after: number | null }[];
  warnings: string[];
}

type Group = { id: number; name: string; weight?: number; username?: string; servers: { addr: string; role: string }[]; slots?: number | string };

const servers = (group: Group) => group.servers.map(({ addr, role }) => (role === 'master' ? addr : `${addr} (${role})`)).join(', ');

function describe(group: Group): NamedGroup {
  const slots = typeof group.slots === 'string' && group.slots !== '' ? `; ${group.slots}` : '';
  return { id: group.id, name: group.name, text: servers(group) + slots };
}

// What of a group becomes something else, as "before → after".
function describeChange({ before, after }: { before: Group; after: Group }): NamedGroup {
  const parts: [string, unknown, unknown][] = [
    ['name', before.name, after.name], ['weight', before.weight, after.weight], ['username', before.username, after.username],
    ['servers', servers(before), servers(after)], ['slots', before.slots, after.slots],
  ];
  const text = parts.filter(([, a, b]) => a !== b).map(([name, a, b]) => `${name}: ${a} → ${b}`).join('; ');
  return { id: after.id, name: after.name, text };
}

// Of the answer to a dry run of either kind.
export function differenceOf(answer: unknown): Difference {
  const { difference, groups_added, warnings = [], changed } = answer as {
    difference?: {
      groups: { added: Group[]; changed: { before: Group; after: Group }[]; removed: Group[] };
      slots: { from: number; to: number; before: { group: number | null }; after: { group: number | null } }[];
    };
    groups_added?: Group[];
    warnings?: string[];
    changed?: boolean;
  };
  if (!difference) {
    return { isEmpty: changed !== true, added: (groups_added ?? []).map(describe), changed: [], removed: [], slots: [], warnings };
  }
  const { groups, slots } = difference;
  return {
    isEmpty: groups.added.length + groups.changed.length + groups.removed.length + slots.length === 0,
    added: groups.added.map(describe),
    changed: groups.changed.map(describeChange),
    removed: groups.removed.map(describe),
    slots: slots.map(({ from, to, before, after }) => ({ from, to, before: before.group ?? null, after: after.group ?? null })),
    warnings,
  };
}
