// Writes src/types/openapi.ts from the schemas of docs/openapi.yaml.
//
//   node types.mjs           writes it
//   node types.mjs --check   fails if it is not what it would write

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parse } from 'yaml';

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, 'src/types/openapi.ts');
const { components } = parse(readFileSync(join(here, '../docs/openapi.yaml'), 'utf8'));
const PRIMITIVES = { string: 'string', integer: 'number', number: 'number', boolean: 'boolean', null: 'null' };

function isWord(name) {
  return /^[A-Za-z_]\w*$/.test(name);
}

// A schema as a TypeScript type; `indent` is of the line it stands in.
function type(schema, indent) {
  if (schema.$ref) return schema.$ref.split('/').pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.allOf) return schema.allOf.map((part) => wrapped(part, indent)).join(' & ');
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map((part) => type(part, indent)).join(' | ');
  if (Array.isArray(schema.type)) return schema.type.map((one) => type({ ...schema, type: one }, indent)).join(' | ');
  if (schema.type === 'array') return `${wrapped(schema.items ?? {}, indent)}[]`;
  if (schema.type === 'object' || schema.properties) return object(schema, indent);
  return PRIMITIVES[schema.type] ?? 'unknown';
}

function wrapped(schema, indent) {
  const text = type(schema, indent);
  return text.includes(' | ') ? `(${text})` : text;
}

function object(schema, indent) {
  const rest = schema.additionalProperties;
  if (!schema.properties) {
    return `Record<string, ${rest && typeof rest === 'object' ? type(rest, indent) : 'unknown'}>`;
  }
  const required = new Set(schema.required ?? []);
  const lines = Object.entries(schema.properties).map(([name, part]) => {
    const note = part.description ? `${indent}  // ${part.description.trim().replace(/\s+/g, ' ')}\n` : '';
    const key = isWord(name) ? name : JSON.stringify(name);
    return `${note}${indent}  ${key}${required.has(name) ? '' : '?'}: ${type(part, indent + '  ')};\n`;
  });
  return `{\n${lines.join('')}${indent}}`;
}

const text = '// Made by types.mjs from docs/openapi.yaml: do not edit.\n' + Object.entries(components.schemas)
  .map(([name, schema]) => `\nexport type ${name} = ${type(schema, '')};\n`).join('');

if (process.argv.includes('--check')) {
  let found = '';
  try {
    found = readFileSync(target, 'utf8');
  } catch {
    // Is said below.
  }
  if (found !== text) {
    console.error('src/types/openapi.ts is not what docs/openapi.yaml says: run "npm run types".');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, text);
}
