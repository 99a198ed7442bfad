// Builds web/dist: index.html, and assets/ with the hash of their content in their names, each with
// a .gz copy where that is smaller. The same sources give the same bytes on every Node from 18 on.
//
//   node build.mjs            into dist/
//   node build.mjs --out DIR  into DIR
//   node build.mjs --tests    the unit tests, as build/test/*.mjs for "node --test"

import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const KB_MAX = 80;

const options = {
  absWorkingDir: here,
  bundle: true,
  target: ['es2021'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
};

async function bundle(entry, define = {}) {
  const result = await build({
    ...options, entryPoints: [entry], format: 'iife', minify: true, write: false, define,
  });
  return Buffer.from(result.outputFiles[0].contents);
}

function hashed(name, content) {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 10);
  const extension = extname(name);
  return `assets/${basename(name, extension)}-${hash}${extension}`;
}

async function buildPage(out) {
  const worker = await bundle('src/worker.ts');
  const workerName = hashed('events.js', worker);
  const css = await bundle('src/app.css');
  const icon = await readFile(join(here, 'src/icon.svg'));
  const app = await bundle('src/main.tsx', { EVENTS_WORKER: JSON.stringify('/' + workerName) });
  const names = { app: hashed('app.js', app), css: hashed('app.css', css), icon: hashed('icon.svg', icon) };
  const html = Buffer.from(
    (await readFile(join(here, 'src/index.html'), 'utf8')).replace(/\{\{(\w+)\}\}/g, (_, name) => '/' + names[name]));

  const files = [['index.html', html], [names.app, app], [names.css, css], [names.icon, icon], [workerName, worker]];
  await rm(out, { recursive: true, force: true });
  await mkdir(join(out, 'assets'), { recursive: true });
  let total = 0;
  for (const [name, content] of files) {
    await writeFile(join(out, name), content);
    const zipped = gzipSync(content, { level: 9 });
    // Byte 9 names the system it was made on: the same everywhere.
    zipped[9] = 255;
    const smaller = zipped.length < content.length;
    if (smaller) await writeFile(join(out, name + '.gz'), zipped);
    total += smaller ? zipped.length : content.length;
  }
  const kb = (total / 1024).toFixed(1);
  console.log(`${files.length} files, ${kb} KB compressed`);
  if (total > KB_MAX * 1024) {
    console.error(`The page has ${kb} KB compressed, more than the ${KB_MAX} KB it may have.`);
    process.exitCode = 1;
  }
}

async function buildTests() {
  const out = join(here, 'build/test');
  await rm(out, { recursive: true, force: true });
  const names = (await readdir(join(here, 'test'))).filter((name) => /\.test\.tsx?$/.test(name));
  await build({
    ...options, entryPoints: names.map((name) => 'test/' + name), outdir: out, format: 'esm', platform: 'node',
    outExtension: { '.js': '.mjs' },
  });
}

if (process.argv.includes('--tests')) {
  await buildTests();
} else {
  const at = process.argv.indexOf('--out');
  await buildPage(at < 0 ? join(here, 'dist') : process.argv[at + 1]);
}
