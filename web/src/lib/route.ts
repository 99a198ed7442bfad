// The address behind "#/": a view and its parameters, so that what is on screen can be passed on.

export interface Route {
  view: string;
  params: Record<string, string>;
}

export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#\/?/, '');
  const at = text.indexOf('?');
  const view = (at < 0 ? text : text.slice(0, at)).replace(/\/+$/, '');
  const params: Record<string, string> = {};
  if (at >= 0) for (const [name, value] of new URLSearchParams(text.slice(at + 1))) params[name] = value;
  return { view: view === '' ? 'overview' : view, params };
}

export function formatRoute(route: Route): string {
  const query = Object.entries(route.params)
    .filter(([, value]) => value !== '')
    // Commas stay readable; they need no escape here.
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value).replace(/%2C/g, ',')}`)
    .join('&');
  return `#/${route.view}${query === '' ? '' : '?' + query}`;
}
