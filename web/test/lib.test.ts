// The parts of the page that need no browser.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, it } from 'node:test';

import { en } from '../src/i18n/en';
import { zh } from '../src/i18n/zh';
import { curlLine } from '../src/lib/curl';
import { keepSame, mergeMigration, mergeSlots, mergeStats } from '../src/lib/events';
import * as format from '../src/lib/format';
import { HEAT_CLASSES, heatClasses } from '../src/lib/heat';
import { meanOf, pushSample } from '../src/lib/history';
import { example, operations, type Document } from '../src/lib/openapi';
import { extentOf, flows, sharesOf } from '../src/lib/plan';
import { linePieces, nearest, timeTicks, valueTicks } from '../src/lib/plot';
import { ALIKE } from '../src/lib/problem_codes';
import { RATE_STEPS, rateAt, stepOf } from '../src/lib/rate';
import { formatRanges, fromRanges, parseSlots, toRanges } from '../src/lib/ranges';
import { formatRoute, parseRoute } from '../src/lib/route';
import { differenceOf, readDocument } from '../src/lib/topology';
import { between, focusStep, spread } from '../src/lib/selection';
import type { Cluster, Migration, Plan, Slot } from '../src/types/model';

describe('ranges', () => {
  it('reads what it writes', () => {
    for (const slots of [[], [0], [1023], [0, 1, 2, 5, 7, 8], Array.from({ length: 1024 }, (_, slot) => slot)]) {
      const ranges = toRanges(slots);
      assert.deepEqual(fromRanges(ranges), slots);
      assert.deepEqual(parseSlots(formatRanges(ranges)), slots);
    }
  });
  it('takes blanks, any order and doubles', () => {
    assert.deepEqual(parseSlots(' 5, 1-3  2 '), [1, 2, 3, 5]);
  });
  it('refuses what are no slots', () => {
    for (const text of ['1024', '3-1', '-1', 'a', '1-', '1..3', '0-1024', '99999']) assert.equal(parseSlots(text), null, text);
  });
});

describe('format', () => {
  it('shortens counts, bytes and times', () => {
    const cases: [string, string][] = [
      [format.count(0), '0'], [format.count(999), '999'], [format.count(1200), '1.2k'], [format.count(141_900), '142k'],
      [format.count(999_600), '1M'], [format.count(0.5), '0.5'], [format.count(null), '–'], [format.bytes(0), '0 B'],
      [format.bytes(1536), '1.5 KiB'], [format.bytes(2.2 * 2 ** 30), '2.2 GiB'], [format.latency(410), '410 µs'],
      [format.latency(1500), '1.5 ms'], [format.latency(2_500_000), '2.5 s'], [format.duration(47.4), '47 s'], [format.duration(61), '1 min 1 s'],
      [format.duration(7300), '2 h 1 min'], [format.duration(90_000), '1 d 1 h'], [format.duration(null), '–'], [format.signed(-83), '−83'],
      [format.signed(4), '+4'], [format.clock('nonsense', 'en-GB'), '–'],
    ];
    for (const [actual, expected] of cases) assert.equal(actual, expected);
  });
});

describe('route', () => {
  it('reads what it writes', () => {
    for (const route of [{ view: 'slots', params: { mode: 'keys', sel: '0-31,64' } }, { view: 'audit', params: { actor: 'a&b=c ü' } }]) {
      assert.deepEqual(parseRoute(formatRoute(route)), route);
    }
    assert.equal(formatRoute({ view: 'slots', params: { sel: '0-3,9', mode: '' } }), '#/slots?sel=0-3,9');
  });
  it('begins with the overview', () => {
    for (const hash of ['', '#', '#/']) assert.equal(parseRoute(hash).view, 'overview');
  });
});

describe('curl', () => {
  it('quotes for a shell and shows no secret', () => {
    const line = curlLine({ method: 'POST', path: "/api/v1/groups?a='b'", body: { name: "it's" }, version: 7 }, 'http://h:1');
    assert.equal(line, `curl -X POST -H "Authorization: Bearer $PIKAPROXY_TOKEN" -H 'If-Match: "t7"' ` +
      `-H 'Content-Type: application/json' -d '{"name":"it'\\''s"}' 'http://h:1/api/v1/groups?a='\\''b'\\'''`);
  });
  it('is short for reading', () => {
    assert.equal(curlLine({ method: 'GET', path: '/x' }, 'http://h'), `curl -H "Authorization: Bearer $PIKAPROXY_TOKEN" 'http://h/x'`);
  });
});

describe('heat', () => {
  it('gives nothing the class 0 and the most the highest', () => {
    const classes = heatClasses([0, null, undefined, 1, 10, 100, 1024]);
    assert.deepEqual(classes.slice(0, 3), [0, 0, 0]);
    assert.equal(classes[6], HEAT_CLASSES - 1);
    assert.ok(classes.slice(3).every((value, at, all) => value >= 1 && (at === 0 || value >= (all[at - 1] ?? 0))));
  });
  it('keeps the classes when the highest changes a little', () => {
    assert.deepEqual(heatClasses([3, 50, 600]).slice(0, 2), heatClasses([3, 50, 700]).slice(0, 2));
  });
});

describe('selection', () => {
  it('takes both ends, whichever comes first', () => {
    assert.deepEqual([...between(3, 1, new Set([9]))].sort((a, b) => a - b), [1, 2, 3, 9]);
  });
  it('never leaves the grid', () => {
    for (const key of ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'PageUp', 'PageDown']) {
      for (let at = 0; at < 1024; at++) {
        const to = focusStep(at, key, 32, 1024) ?? -1;
        assert.ok(to >= 0 && to < 1024, `${key} from ${at} leads to ${to}`);
      }
    }
    assert.equal(focusStep(5, 'x', 32, 1024), null);
  });
  it('spreads evenly, each slot once', () => {
    const slots = Array.from({ length: 100 }, (_, at) => at * 2);
    const result = spread(slots, [4, 7, 9]);
    assert.deepEqual(result.map(({ slot }) => slot), slots);
    assert.deepEqual([4, 7, 9].map((id) => result.filter(({ group }) => group === id).length), [34, 33, 33]);
  });
});

describe('rate', () => {
  it('ends with unlimited, and finds the step of each rate again', () => {
    assert.equal(rateAt(RATE_STEPS, 100), 0);
    for (let step = 0; step <= RATE_STEPS; step++) assert.equal(stepOf(rateAt(step, 100), 100), step);
    assert.equal(stepOf(1, 100), 0);
  });
});

describe('plan', () => {
  const plan: Plan = {
    id: 1, topology_version: 2, warnings: [],
    moves: [
      { ranges: [{ from: 0, to: 9 }], from: 1, to: 2, keys: 5, bytes: 50 },
      { ranges: [{ from: 20, to: 20 }], from: 1, to: 2, keys: 1, bytes: 10 },
      { ranges: [{ from: 30, to: 31 }], from: 3, to: 2, keys: null },
    ],
    before: [{ group_id: 1, slots: 20, keys: 9, bytes: 90 }, { group_id: 3, slots: 4 }],
    after: [{ group_id: 1, slots: 9 }, { group_id: 2, slots: 13 }, { group_id: 3, slots: 2 }],
  };
  it('sums the moves of each pair of groups', () => {
    assert.deepEqual(flows(plan).map(({ from, to, slots, keys, bytes }) => [from, to, slots, keys, bytes]), [
      [1, 2, 11, 6, 60], [3, 2, 2, null, null],
    ]);
    const { slots, keys, bytes, isEstimate } = extentOf(plan, new Map());
    assert.deepEqual({ slots, keys, bytes, isEstimate }, { slots: 13, keys: 6, bytes: 60, isEstimate: false });
  });
  it('that nobody has counted for takes shares of what the groups have, or says that it is not known', () => {
    const uncounted = { ...plan, before: [{ group_id: 1, slots: 22, keys: 0 }] };
    const none = extentOf(uncounted, new Map());
    assert.deepEqual([none.slots, none.keys, none.bytes, none.isEstimate], [13, null, null, true]);
    const some = extentOf(uncounted, new Map([[1, { slots: 22, keys: 200, bytes: null }], [3, { slots: 0, keys: 7, bytes: 7 }]]));
    assert.deepEqual([some.keys, some.bytes], [100, null]);
    assert.deepEqual(some.flows.map(({ keys }) => keys), [100, null]);
  });
  it('shows groups that are only on one side', () => {
    assert.deepEqual(sharesOf(plan), [
      { group: 1, before: 20, after: 9 }, { group: 2, before: 0, after: 13 }, { group: 3, before: 4, after: 2 },
    ]);
  });
});

describe('events', () => {
  const slot = (at: number): Slot => ({ slot: at, state: 'normal', group: 1, target: null, keys: 5 });
  it('change the slots that they name, and keep what they do not', () => {
    const before = [slot(0), slot(1), slot(2)];
    const after = mergeSlots(before, { slots: [{ slot: 1, state: 'migrating', group: 1, target: 2 }] });
    assert.deepEqual(after?.[1], { slot: 1, state: 'migrating', group: 1, target: 2, keys: 5 });
    assert.equal(after?.[0], before[0]);
    assert.equal(before[1]?.state, 'normal');
  });
  it('that say too little, or nonsense, make the page load', () => {
    assert.equal(mergeSlots([slot(0)], {}), null);
    assert.equal(mergeSlots([slot(0)], { slots: [{ slot: 7 }] }), null);
    assert.equal(mergeMigration([], { id: 1 }), null);
  });
  it('that are loaded again keep the objects of slots that are the same', () => {
    const before = [slot(0), slot(1)];
    const after = keepSame(before, [slot(0), { ...slot(1), keys: 6 }]);
    assert.equal(after[0], before[0]);
    assert.equal(after[1]?.keys, 6);
  });
  it('of a migration replace it or put it in front', () => {
    const one = { id: 1, state: 'running', progress: { done: 0, total: 2, unit: 'slots' } } as Migration;
    const more = mergeMigration([one], { ...one, id: 2 }) ?? [];
    assert.deepEqual(more.map(({ id }) => id), [2, 1]);
    assert.equal(mergeMigration(more, { ...one, state: 'paused' })?.[1]?.state, 'paused');
  });
  it('of statistics change numbers only', () => {
    const cluster = { name: 'c', topology_version: 3, slots: {}, groups: 1, proxies: 1, clients: 1 } as Cluster;
    const after = mergeStats(cluster, { clients: 9, name: 'x', ops_per_second: 'many' });
    assert.deepEqual([after.clients, after.name, after.ops_per_second], [9, 'c', undefined]);
  });
});

describe('history', () => {
  it('keeps an hour and fills what is missing', () => {
    let history = pushSample({ times: [], columns: {} }, 0, { a: 1 }, ['a', 'b']);
    history = pushSample(history, 10, { a: 2, b: 5 }, ['a', 'b']);
    assert.deepEqual(history, { times: [0, 10], columns: { a: [1, 2], b: [null, 5] } });
    assert.equal(pushSample(history, 10, { a: 3 }, ['a']), history);
    assert.deepEqual(pushSample(history, 3605, { a: 3 }, ['a']).times, [10, 3605]);
  });
});

describe('openapi', () => {
  const document: Document = {
    paths: {
      '/x/{id}': {
        parameters: [{ name: 'id', in: 'path' }],
        post: {
          operationId: 'makeX', 'x-role': 'operator', summary: 'Makes',
          requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/X' } } } },
          responses: { 201: { $ref: '#/components/responses/Made' } },
        },
      },
    },
    components: {
      schemas: { X: { type: 'object', required: ['n', 'list'], properties: { n: { type: 'integer', minimum: 3 }, list: { type: 'array', items: { enum: ['a'] } }, not: { type: 'string' } } } },
      responses: { Made: { description: 'Made it.' } },
    },
  } as unknown as Document;
  it('lists operations with their roles, bodies and answers', () => {
    const [operation] = operations(document);
    assert.equal(operation?.method, 'POST');
    assert.equal(operation?.role, 'operator');
    assert.deepEqual(operation?.answers, [['201', 'Made it.']]);
    assert.equal(operation?.parameters.length, 1);
    assert.deepEqual(example(document, operation?.body), { n: 3, list: ['a'] });
  });
  it('survives a schema that holds itself', () => {
    const knot = { paths: {}, components: { schemas: { A: { type: 'array', items: { $ref: '#/components/schemas/A' } } } } } as unknown as Document;
    assert.ok(Array.isArray(example(knot, { $ref: '#/components/schemas/A' })));
  });
});

describe('history', () => {
  it('has means over a time, of what was measured', () => {
    const history = { times: [10, 11, 12, 13], columns: { p99_us: [100, null, 300, 0] } };
    assert.equal(meanOf(history, 'p99_us', 10, 13), 200);
    assert.equal(meanOf(history, 'p99_us', 13, 20), null);
    assert.equal(meanOf(history, 'other', 0, 99), null);
  });
});

describe('topology documents', () => {
  it('are told apart, and sent without the version of their export', () => {
    assert.deepEqual(readDocument('{"format": "x", "topology_version": 3, "groups": []}'), { kind: 'topology', body: { format: 'x', groups: [] } });
    assert.equal(readDocument('{"slots": [], "group": []}').kind, 'codis');
    assert.equal(readDocument('{').kind, 'broken');
    for (const text of ['[]', 'null', '3', '{}', '{"slots": []}']) assert.equal(readDocument(text).kind, 'unknown', text);
  });
  it('have their difference said in words', () => {
    const group = { id: 1, name: 'a', weight: 1, servers: [{ addr: 'h:1', role: 'master' }, { addr: 'h:2', role: 'replica' }] };
    const difference = differenceOf({ difference: {
      groups: { added: [], changed: [{ id: 1, before: group, after: { ...group, name: 'b', weight: 2 } }], removed: [group] },
      slots: [{ from: 0, to: 9, before: { state: 'unassigned', group: null }, after: { state: 'normal', group: 1 } }],
    } });
    assert.equal(difference.isEmpty, false);
    assert.deepEqual(difference.changed, [{ id: 1, name: 'b', text: 'name: a → b; weight: 1 → 2' }]);
    assert.deepEqual(difference.removed, [{ id: 1, name: 'a', text: 'h:1, h:2 (replica)' }]);
    assert.deepEqual(difference.slots, [{ from: 0, to: 9, before: null, after: 1 }]);
    assert.equal(differenceOf({ difference: { groups: { added: [], changed: [], removed: [] }, slots: [] } }).isEmpty, true);
    const codis = differenceOf({ changed: true, groups_added: [{ ...group, slots: '0-511' }], warnings: ['w'] });
    assert.deepEqual([codis.isEmpty, codis.warnings, codis.added[0]?.text], [false, ['w'], 'h:1, h:2 (replica); 0-511']);
  });
});

describe('plot', () => {
  it('has round ticks that reach over the highest value', () => {
    assert.deepEqual(valueTicks(0), [0, 1]);
    assert.deepEqual(valueTicks(Number.NaN), [0, 1]);
    assert.deepEqual(valueTicks(3), [0, 1, 2, 3]);
    assert.deepEqual(valueTicks(0.7), [0, 0.5, 1]);
    for (let max = 0.001; max < 1e9; max *= 1.7) {
      const ticks = valueTicks(max);
      assert.ok((ticks[ticks.length - 1] ?? 0) >= max * 0.999, `${max}: ${ticks}`);
      assert.ok(ticks.length >= 3 && ticks.length <= 5, `${max}: ${ticks}`);
    }
  });
  it('has times on whole steps of the clock, never more than fit', () => {
    assert.deepEqual(timeTicks(1000, 4600, 5), [1800, 2700, 3600, 4500]);
    for (let span = 5; span < 4000; span += 7) assert.ok(timeTicks(12345, 12345 + span, 4).length <= 5);
  });
  it('breaks lines where nothing was measured, and keeps spikes', () => {
    assert.deepEqual(linePieces([0, 1, 2, 3], [0, 10, null, 5], 10, 300, 100), [[[0, 100], [100, 0]], [[300, 50]]]);
    assert.deepEqual(linePieces([0, 1, 2, 3, 4], [1, 9, 2, 3, 1], 10, 2, 10), [[[0, 9], [1, 1], [2, 7]]]);
    assert.deepEqual(linePieces([], [], 1, 100, 100), []);
  });
  it('finds the time next to the pointer', () => {
    assert.equal(nearest([], 5), -1);
    assert.equal(nearest([10, 20, 30], 24), 1);
    assert.equal(nearest([10, 20, 30], 99), 2);
  });
});

describe('texts', () => {
  const textOf = (code: string) => (en.problems.codes as Record<string, string>)[ALIKE[code] ?? code];
  // The compiler holds the keys equal; this holds that they are there and were translated.
  const walk = (path: string, a: unknown, b: unknown, visit: (path: string, a: string, b: string) => void): void => {
    if (typeof a === 'string') return visit(path, a, b as string);
    if (typeof a === 'function') return;
    for (const [name, value] of Object.entries(a as object)) walk(`${path}.${name}`, value, (b as Record<string, unknown>)[name], visit);
  };
  const sources = (folder: string): string => readdirSync(folder, { withFileTypes: true }).map((entry) =>
    entry.isDirectory() ? sources(`${folder}/${entry.name}`) : entry.name.endsWith('.cc') ? readFileSync(`${folder}/${entry.name}`, 'utf8') : '').join('');
  // Tests run in web/; the page is part of the repository of the server whose words these are.
  const server = sources('../dashboard');
  it('explain every refusal of the server', () => {
    const found = [...server.matchAll(/(?:conflict|impossible|unavailable|fail_conflict)\(\s*(?:[a-z_.]+,\s*)?"([a-z_]+)"|Refusal::Kind::k\w+,\s*"([a-z_]+)"/g)]
      .map(([, a, b]) => a ?? b ?? '');
    assert.ok(found.length > 40, `${found.length}`);
    assert.deepEqual([...new Set(found)].filter((code) => textOf(code) === undefined), []);
  });
  it('say in Chinese what every health check is about', () => {
    const found = [...server.matchAll(/constexpr std::string_view k\w+ = "([a-z_]+)";/g)].map(([, name]) => name);
    assert.ok(found.includes('server_down'));
    assert.deepEqual(Object.keys(zh.health.checks).filter((name) => !found.includes(name)), []);
    const names = /health_check_names\(\) \{\s*return \{([^}]*)\}/.exec(server)?.[1]?.split(',').length;
    assert.equal(Object.keys(zh.health.checks).length, names);
  });
  it('say in Chinese what every setting is', () => {
    const table = readFileSync('../dashboard/settings/settings.cc', 'utf8');
    const names = [...table.matchAll(/^ {4}\{"([a-z_]+)", (?:true|false),/gm)].map(([, name]) => name);
    assert.ok(names.includes('metrics_require_token'));
    assert.deepEqual(names.filter((name) => !(name! in zh.settings.descriptions)), []);
  });
  it('are never empty, and Chinese is Chinese', () => {
    const same: string[] = [];
    walk('', en, zh, (path, a, b) => {
      assert.ok(a !== '' && b !== '', path);
      if (a === b) same.push(path);
    });
    assert.deepEqual(same, ['.nav.api', '.top.p99', '.overview.kpiP50', '.overview.kpiP99', '.api.title']);
  });
});
