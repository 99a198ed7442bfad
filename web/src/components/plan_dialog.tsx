// A plan: its options, what it would do, and the start. What is run is exactly what is shown: the
// plan is stored by the server and pinned to a version of the topology.

import { useEffect, useState } from 'preact/hooks';

import { ApiError, calls, run, type Limits, type PlanRequest } from '../api';
import { t } from '../i18n';
import * as format from '../lib/format';
import { extentOf, sharesOf } from '../lib/plan';
import { formatRanges } from '../lib/ranges';
import { canChange, groupName, groups, masterOf, reload, toast, version } from '../state';
import type { Migration, Plan } from '../types/model';
import { Bar, Button, Field, GroupTag, Icon, Loading, Meter, Table, groupColor } from './basics';
import { CopyCurl, Dialog, TypeName } from './dialog';
import { ProblemBox } from './problem';
import { RateSlider } from './rate_slider';

export type PlanStart =
  | { kind: 'rebalance' }
  | { kind: 'drain'; group: number }
  | { kind: 'move'; slots: number[]; target: number };

const STRATEGIES = ['slots', 'keys', 'bytes', 'ops'] as const;
type Strategy = (typeof STRATEGIES)[number];
// From here on the cluster's name must be typed.
const MANY_SLOTS = 64;
const LEAST_KEYS = 100;

interface PlanDialogProps {
  start: PlanStart;
  onClose: () => void;
  onStarted: (migration: Migration) => void;
}

export function PlanDialog({ start, onClose, onStarted }: PlanDialogProps) {
  const texts = t();
  const known = groups.value ?? [];
  const [strategy, setStrategy] = useState<Strategy>('slots');
  const [maxMoves, setMaxMoves] = useState('');
  const [drained, setDrained] = useState<number[]>(start.kind === 'drain' ? [start.group] : []);
  const [weights, setWeights] = useState<Record<string, string>>({});
  const [target, setTarget] = useState(start.kind === 'move' ? start.target : 0);
  const [limits, setLimits] = useState<Limits>({ rate_limit_keys_per_second: 0 });
  const [plan, setPlan] = useState<Plan | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const [isNameTyped, setNameTyped] = useState(false);
  const [isOptions, setOptions] = useState(false);

  const request = (): PlanRequest => {
    if (start.kind === 'move') return { kind: 'move', slots: start.slots, target };
    const body: PlanRequest = { kind: start.kind, strategy };
    if (start.kind === 'drain') body.drain_groups = drained;
    if (maxMoves !== '') body.max_moves = Number(maxMoves);
    const set = Object.entries(weights).filter(([, value]) => value !== '');
    if (set.length > 0) body.weights = Object.fromEntries(set.map(([id, value]) => [id, Number(value)]));
    return body;
  };

  const compute = async () => {
    setBusy(true);
    setError(null);
    setPlan(null);
    setNameTyped(false);
    try {
      setPlan(await run<Plan>(calls.plan(request())));
      setOptions(false);
    } catch (problem) {
      setError(problem);
      setOptions(true);
    }
    setBusy(false);
  };
  useEffect(() => void compute(), []);

  const begin = async () => {
    if (!plan) return;
    setBusy(true);
    setError(null);
    try {
      const migration = await run<Migration>(calls.startPlan(plan.id, limits));
      toast(texts.plan.started);
      reload();
      onStarted(migration);
    } catch (problem) {
      setError(problem);
      if (problem instanceof ApiError && problem.problem.status === 412) reload();
      setBusy(false);
    }
  };

  const totals = plan && extentOf(plan, new Map(known.map((group) => {
    const master = masterOf(group);
    return [group.id, { slots: group.slots, keys: master?.keys ?? null, bytes: master?.memory_bytes ?? null }];
  })));
  const about = (text: string) => (totals?.isEstimate && text !== format.DASH ? `≈ ${text}` : text);
  const isEmpty = totals?.slots === 0;
  const isStale = plan !== null && plan.topology_version !== version.value;
  const isStrict = (totals?.slots ?? 0) > MANY_SLOTS;

  return (
    <Dialog title={start.kind === 'move' ? texts.plan.selection(start.slots.length, groupName(target)) : start.kind === 'drain' ? texts.plan.drain : texts.plan.rebalance} onClose={onClose} wide>
      <form onSubmit={(event) => {
        event.preventDefault();
        if (isOptions) void compute();
        else void begin();
      }}>
        <div class="dialog-body">
          {isOptions ? (
            <>
              {start.kind === 'move' ? (
                <Field label={texts.slots.target}>
                  <select value={target} onChange={(event) => setTarget(Number(event.currentTarget.value))}>
                    {known.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
                  </select>
                </Field>
              ) : (
                <>
                  <div class="form-grid">
                    <Field label={texts.plan.strategy}>
                      <select value={strategy} onChange={(event) => setStrategy(event.currentTarget.value as Strategy)}>
                        {STRATEGIES.map((one) => <option key={one} value={one}>{texts.plan.strategies[one]}</option>)}
                      </select>
                    </Field>
                    <Field label={`${texts.plan.maxMoves} (${texts.common.optional})`}>
                      <input type="number" min={1} max={1024} value={maxMoves} onInput={(event) => setMaxMoves(event.currentTarget.value)} />
                    </Field>
                  </div>
                  {start.kind === 'drain' && (
                    <fieldset class="stack tight plain">
                      <legend class="field-label">{texts.plan.drainGroups}</legend>
                      <div class="row">
                        {known.map(({ id }) => (
                          <label class="row" key={id}>
                            <input type="checkbox" checked={drained.includes(id)} onChange={(event) =>
                              setDrained(event.currentTarget.checked ? [...drained, id] : drained.filter((one) => one !== id))} />
                            <GroupTag id={id} />
                          </label>
                        ))}
                      </div>
                    </fieldset>
                  )}
                  {start.kind === 'rebalance' && (
                    <fieldset class="stack tight plain">
                      <legend class="field-label">{texts.plan.weights}</legend>
                      <p class="muted small">{texts.plan.weightsHint}</p>
                      <div class="form-grid">
                        {known.map((group) => (
                          <Field label={group.name} key={group.id}>
                            <input type="number" min={0} max={1000} placeholder={String(group.weight)} value={weights[group.id] ?? ''}
                              onInput={(event) => setWeights({ ...weights, [group.id]: event.currentTarget.value })} />
                          </Field>
                        ))}
                      </div>
                    </fieldset>
                  )}
                </>
              )}
            </>
          ) : isBusy && !plan ? <Loading /> : plan && totals && (
            <>
              {isEmpty ? <p><strong>{texts.plan.empty}</strong></p> : (
                <>
                  <div class="meters">
                    <Meter value={totals.slots} label={texts.plan.toMove} />
                    <Meter value={about(format.count(totals.keys))} label={texts.plan.keys} />
                    <Meter value={about(format.bytes(totals.bytes))} label={texts.plan.data} />
                    <Meter value={about(format.duration(etaAt(plan, totals.keys, limits)))} label={texts.plan.eta} />
                  </div>
                  {plan.warnings.map((text) => <p class="note" key={text}><Icon name="warn" />{text}</p>)}
                  <Shares plan={plan} />
                  <details open={totals.flows.length <= 8}>
                    <summary>{texts.plan.flows} ({totals.flows.length})</summary>
                    <Table caption={texts.plan.flows} head={
                      <><th>{texts.plan.from}</th><th>{texts.plan.to}</th><th class="num">{texts.plan.count}</th>
                        <th class="num">{texts.plan.keys}</th><th class="num">{texts.plan.data}</th><th>{texts.plan.ranges}</th></>
                    }>
                      {totals.flows.map((move) => (
                        <tr key={`${move.from}-${move.to}`}>
                          <td><GroupTag id={move.from} /></td>
                          <td><GroupTag id={move.to} /></td>
                          <td class="num">{move.slots}</td>
                          <td class="num">{about(format.count(move.keys))}</td>
                          <td class="num">{about(format.bytes(move.bytes))}</td>
                          <td><code class="break">{formatRanges(move.ranges)}</code></td>
                        </tr>
                      ))}
                    </Table>
                  </details>
                  <RateSlider label={texts.migrations.rateKeys} least={LEAST_KEYS} format={format.count}
                    value={limits.rate_limit_keys_per_second ?? 0}
                    onChange={(value) => setLimits({ rate_limit_keys_per_second: value })} />
                </>
              )}
              <p class="muted small">
                {texts.plan.pinned(String(plan.id), plan.topology_version)}
                {plan.expires_at && <> · {texts.plan.expires(format.clock(plan.expires_at, texts.locale))}</>}
              </p>
              {isStale && !isEmpty && <p class="note"><Icon name="warn" />{texts.plan.stale}</p>}
            </>
          )}
          <ProblemBox error={error} />
        </div>
        <footer class="dialog-foot">
          {plan && !isOptions && !isEmpty && !isStale && isStrict && <TypeName key={plan.id} onMatch={setNameTyped} />}
          <CopyCurl call={isOptions || !plan ? calls.plan(request()) : calls.startPlan(plan.id, limits)} />
          {plan && !isOptions && !isEmpty && (
            <a class="button quiet" download={`plan-${plan.id}.json`}
              href={`data:application/json;charset=utf-8,${encodeURIComponent(JSON.stringify(plan, null, 2))}`}>{texts.plan.json}</a>
          )}
          <span class="spring" />
          {isOptions ? (
            <button type="submit" class="button primary" disabled={isBusy || !canChange.value}>{texts.plan.compute}</button>
          ) : (
            <>
              <Button disabled={isBusy} onClick={() => {
                setOptions(true);
                setError(null);
              }}>{texts.plan.change}</Button>
              {(isStale || error != null) && <Button kind="primary" disabled={isBusy} onClick={() => void compute()}>{texts.plan.recompute}</Button>}
              {plan && !isEmpty && !isStale && (
                <button type="submit" class="button primary" disabled={isBusy || !canChange.value || (isStrict && !isNameTyped)}>
                  {texts.plan.start}
                </button>
              )}
            </>
          )}
        </footer>
      </form>
    </Dialog>
  );
}

// The server's estimate, or what the chosen rate allows if that takes longer.
function etaAt(plan: Plan, keys: number | null, limits: Limits): number | null {
  const rate = limits.rate_limit_keys_per_second ?? 0;
  const own = plan.eta_seconds ?? null;
  if (rate === 0 || keys === null) return own;
  return Math.max(own ?? 0, keys / rate);
}

function Shares({ plan }: { plan: Plan }) {
  const texts = t().plan;
  const rows = sharesOf(plan);
  const most = Math.max(1, ...rows.flatMap(({ before, after }) => [before, after]));
  return (
    <div class="shares" role="table" aria-label={`${texts.before} / ${texts.after}`}>
      <div role="row" class="head">
        <span role="columnheader">{texts.group}</span>
        <span role="columnheader">{texts.before}</span><span />
        <span role="columnheader">{texts.after}</span><span /><span />
      </div>
      {rows.map(({ group, before, after }) => (
        <div role="row" key={group}>
          <span role="cell"><GroupTag id={group} /></span>
          <span class="hide"><Bar part={before} whole={most} color={groupColor(group)} /></span>
          <b role="cell" class="num">{before}</b>
          <span class="hide"><Bar part={after} whole={most} color={groupColor(group)} /></span>
          <b role="cell" class="num">{after}</b>
          <span class={`num ${after > before ? 'plus' : after < before ? 'minus' : 'muted'}`}>{format.signed(after - before)}</span>
        </div>
      ))}
    </div>
  );
}

