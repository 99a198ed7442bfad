// What the server answered instead, in the operator's language, with what to do.

import { ApiError } from '../api';
import { t } from '../i18n';
import { ALIKE } from '../lib/problem_codes';
import { Icon } from './basics';

export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return String(error);
  const texts = t().problems.codes as Record<string, string>;
  const { code, status, detail } = error.problem;
  const known = texts[ALIKE[code] ?? code];
  if (known) return known;
  if (status === 403) return texts.forbidden ?? '';
  if (status === 409) return texts.conflict ?? '';
  if (status === 412) return texts.stale_version ?? '';
  if (status === 422) return texts.impossible ?? '';
  if (status === 429) return texts.too_many_requests ?? '';
  if (status >= 500) return texts.internal ?? '';
  return detail ?? code;
}

export function ProblemBox({ error }: { error: unknown }) {
  if (!error) return null;
  const problem = error instanceof ApiError ? error.problem : null;
  const text = explain(error);
  return (
    <div class="problem" role="alert">
      <Icon name="warn" />
      <div>
        <p><strong>{text}</strong></p>
        {problem?.detail && problem.detail !== text && <p>{problem.detail}</p>}
        {problem?.errors && problem.errors.length > 0 && (
          <ul>{problem.errors.map((one) => <li key={one.pointer}><code>{one.pointer}</code> {one.detail}</li>)}</ul>
        )}
        {problem?.instance && <p class="muted small">{t().problems.request} <code>{problem.instance}</code></p>}
      </div>
    </div>
  );
}
