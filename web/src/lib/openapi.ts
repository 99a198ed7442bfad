// Reads an OpenAPI 3.1 document, as far as a page about it needs.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Map = { [name: string]: Json };

export interface Document {
  paths: Map;
  servers?: { url: string }[];
}

export interface Operation {
  method: string;
  path: string;
  id: string;
  summary: string;
  description: string;
  role: string;
  parameters: Json[];
  body: Json | undefined;
  answers: [string, string][];
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const DEPTH_MAX = 6;

// Follows "$ref": "#/a/b"; anything else is itself.
export function resolve(document: Document, node: Json | undefined): Json {
  for (let steps = 0; steps < DEPTH_MAX; steps++) {
    if (node === null || typeof node !== 'object' || Array.isArray(node) || typeof node.$ref !== 'string') break;
    let found: Json | undefined = document as unknown as Json;
    for (const part of node.$ref.replace(/^#\//, '').split('/')) found = (found as Map | undefined)?.[part.replace(/~1/g, '/').replace(/~0/g, '~')];
    node = found;
  }
  return node ?? null;
}

const map = (node: Json): Map => (node !== null && typeof node === 'object' && !Array.isArray(node) ? node : {});
const text = (node: Json | undefined) => (typeof node === 'string' ? node : '');

// A media type's schema, with its example.
function bodyOf(media: Map): Json | undefined {
  if (media.example !== undefined) return { example: media.example };
  return media.schema;
}

export function operations(document: Document): Operation[] {
  const result: Operation[] = [];
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const operation = map(map(item)[method] ?? null);
      if (Object.keys(operation).length === 0) continue;
      const content = map(map(resolve(document, operation.requestBody)).content ?? null);
      const shared = map(item).parameters;
      result.push({
        method: method.toUpperCase(),
        path,
        id: text(operation.operationId),
        summary: text(operation.summary),
        description: text(operation.description),
        role: text(operation['x-role']),
        parameters: [...(Array.isArray(shared) ? shared : []), ...(Array.isArray(operation.parameters) ? operation.parameters : [])],
        body: bodyOf(map(content['application/json'] ?? null)),
        answers: Object.entries(map(operation.responses ?? null)).map(([status, answer]) =>
          [status, text(map(resolve(document, answer)).description)]),
      });
    }
  }
  return result;
}

// A value that fits the schema: its examples where it has some.
export function example(document: Document, schema: Json | undefined, depth = 0): Json {
  const node = map(resolve(document, schema));
  if (node.example !== undefined) return node.example;
  if (Array.isArray(node.examples) && node.examples[0] !== undefined) return node.examples[0];
  if (node.default !== undefined) return node.default;
  if (Array.isArray(node.enum) && node.enum[0] !== undefined) return node.enum[0];
  if (depth > DEPTH_MAX) return null;
  for (const word of ['oneOf', 'anyOf']) {
    const choices = node[word];
    if (Array.isArray(choices)) return example(document, choices[0], depth + 1);
  }
  if (Array.isArray(node.allOf)) {
    return Object.assign({}, ...node.allOf.map((part) => map(example(document, part, depth + 1)))) as Map;
  }
  const type = Array.isArray(node.type) ? node.type[0] : node.type;
  if (type === 'object' || node.properties !== undefined) {
    const required = Array.isArray(node.required) ? node.required : [];
    const all = Object.entries(map(node.properties ?? null));
    const chosen = required.length > 0 ? all.filter(([name]) => required.includes(name)) : all;
    return Object.fromEntries(chosen.map(([name, part]) => [name, example(document, part, depth + 1)]));
  }
  if (type === 'array') return [example(document, node.items, depth + 1)];
  if (type === 'integer' || type === 'number') return node.minimum ?? 0;
  if (type === 'boolean') return false;
  return type === 'string' ? '' : null;
}
