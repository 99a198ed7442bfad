import { signal } from '@preact/signals';

import { formatRoute, parseRoute, type Route } from './lib/route';

export const route = signal<Route>(parseRoute(location.hash));
addEventListener('hashchange', () => (route.value = parseRoute(location.hash)));

export function go(view: string, params: Record<string, string> = {}): void {
  location.hash = formatRoute({ view, params });
}

// Changes parameters without an entry of its own in the browser's history.
export function setParams(changes: Record<string, string>): void {
  const next = { view: route.peek().view, params: { ...route.peek().params, ...changes } };
  for (const [name, value] of Object.entries(next.params)) if (value === '') delete next.params[name];
  window.history.replaceState(null, '', formatRoute(next));
  route.value = next;
}
