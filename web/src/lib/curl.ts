// A call to the API as a line for a shell. The token is named, never shown.

export interface Call {
  method: string;
  path: string;  // Below the origin, with its query: "/api/v1/plans".
  body?: unknown;
  version?: number | undefined;
  // The body stands in this file rather than in the line.
  file?: string;
}

function quote(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

export function curlLine(call: Call, origin: string): string {
  const parts = ['curl'];
  if (call.method !== 'GET') parts.push('-X', call.method);
  parts.push('-H', '"Authorization: Bearer $PIKAPROXY_TOKEN"');
  if (call.version !== undefined) parts.push('-H', quote(`If-Match: "t${call.version}"`));
  if (call.body !== undefined) {
    parts.push('-H', quote('Content-Type: application/json'), '-d', call.file ? `@${call.file}` : quote(JSON.stringify(call.body)));
  }
  parts.push(quote(origin + call.path));
  return parts.join(' ');
}
