// What the browser tests stand on: real redis-servers, a real pikaproxy and Debian's Chromium, on
// free ports of 127.0.0.1, all ended at the end.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const BROWSER_FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const START_MS = 20_000;
const WAIT_MS = 12_000;

// What the tests change the first password to.
export const ADMIN_PASSWORD = 'correct horse battery';

export const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));

export async function until(what, check, timeout = 20_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await pause(50);
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

const isOpen = (port) => new Promise((answer) => {
  const socket = connect(port, '127.0.0.1');
  socket.once('connect', () => (socket.destroy(), answer(true)));
  socket.once('error', () => answer(false));
});

// Commands to a Redis port, in order. Answers are the raw first lines; that is enough to count errors.
export class Redis {
  constructor(port) {
    this.socket = connect(port, '127.0.0.1');
    this.waiting = [];
    this.text = '';
    this.socket.on('data', (data) => {
      this.text += data.toString('latin1');
      this.take();
    });
    const fail = () => this.waiting.splice(0).forEach(({ reject }) => reject(new Error('connection lost')));
    this.socket.on('error', fail);
    this.socket.on('close', fail);
  }
  // Simple strings, errors, integers and bulk strings.
  take() {
    for (;;) {
      const end = this.text.indexOf('\r\n');
      if (end < 0) return;
      const head = this.text.slice(0, end);
      let used = end + 2;
      let value = head.slice(1);
      if (head[0] === '$' && value !== '-1') {
        const size = Number(value);
        if (this.text.length < used + size + 2) return;
        value = this.text.slice(used, used + size);
        used += size + 2;
      } else if (head[0] === '$') {
        value = null;
      }
      this.text = this.text.slice(used);
      const { resolve, reject } = this.waiting.shift();
      if (head[0] === '-') reject(new Error(value));
      else resolve(value);
    }
  }
  send(...words) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).join('')}`);
    });
  }
  close() {
    this.socket.destroy();
  }
}

export class Setup {
  constructor({ program, shots }) {
    this.program = resolve(program);
    this.shots = shots;
    this.directory = mkdtempSync(join(tmpdir(), 'pikaproxy-e2e-'));
    this.children = [];
    // Of the pages: what went wrong in them, as text.
    this.complaints = [];
    mkdirSync(shots, { recursive: true });
  }

  run(command, args) {
    const child = spawn(command, args, { cwd: this.directory, stdio: ['ignore', 'pipe', 'pipe'] });
    child.log = '';
    child.stdout.on('data', (data) => (child.log += data));
    child.stderr.on('data', (data) => (child.log += data));
    child.ended = new Promise((done) => child.on('exit', done));
    this.children.push(child);
    return child;
  }

  async redis(...options) {
    const port = await freePort();
    const directory = join(this.directory, `redis-${port}`);
    mkdirSync(directory);
    this.run('redis-server', ['--port', port, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no', ...options]);
    await until(`redis-server on ${port}`, () => isOpen(port));
    return port;
  }

  async startProxy() {
    this.proxyPort ??= await freePort();
    this.adminPort ??= await freePort();
    this.url = `http://127.0.0.1:${this.adminPort}`;
    const config = join(this.directory, 'pikaproxy.toml');
    writeFileSync(config, `[proxy]\nlisten = ["127.0.0.1:${this.proxyPort}"]\n[admin]\nlisten = "127.0.0.1:${this.adminPort}"\n` +
      `[dashboard]\ndata_dir = "${join(this.directory, 'data')}"\n` +
      // For working on the page: WEB_ROOT=web/dist.
      (process.env.WEB_ROOT ? `web_root = "${resolve(process.env.WEB_ROOT)}"\n` : ''));
    this.proxy = this.run(this.program, ['--config', config]);
    await until('pikaproxy', async () => {
      if (this.proxy.exitCode !== null) throw new Error(`pikaproxy ended:\n${this.proxy.log}`);
      return isOpen(this.adminPort);
    }, START_MS);
  }

  async stopProxy(signal = 'SIGTERM') {
    this.proxy.kill(signal);
    await this.proxy.ended;
  }

  // The one that was made at the first start.
  get firstPassword() {
    return readFileSync(join(this.directory, 'data', 'admin-password'), 'utf8').trim();
  }

  async startBrowser() {
    const executablePath = BROWSERS.find(existsSync);
    if (!executablePath) throw new Error('There is no Chromium here: apt-get install chromium');
    this.browser = await chromium.launch({ executablePath, args: BROWSER_FLAGS });
  }

  // A browser of its own: nothing is shared with other contexts.
  async context(options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1366, height: 860 }, locale: 'en-GB', colorScheme: 'light', ...options });
    context.setDefaultTimeout(WAIT_MS);
    return context;
  }

  async page(context, path = '/') {
    const page = await context.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(`${page.url()}: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.complaints.push(`${page.url()}: ${error.stack}`));
    page.on('dialog', (dialog) => {
      this.complaints.push(`a script ran: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url());
      if (origin !== this.url && protocol !== 'data:') this.complaints.push(`asked a third party: ${request.url()}`);
    });
    await page.goto(this.url + path);
    return page;
  }

  async logIn(page, name = 'admin', password = ADMIN_PASSWORD) {
    await page.fill('input[name=username]', name);
    await page.fill('input[name=password]', password);
    await page.click('button[type=submit]');
    await page.waitForSelector('.frame');
  }

  // Complaints since the last call, without those that `expected` fits.
  complaintsBut(expected = null) {
    return this.complaints.splice(0).filter((one) => !expected || !expected.test(one));
  }

  shot(page, name, options = {}) {
    return page.screenshot({ path: join(this.shots, `${name}.png`), timeout: 40_000, ...options });
  }

  // The page's own answer to a call with the session of the page.
  call(page, method, path, body, version) {
    return page.evaluate(async ([verb, where, sent, pinned]) => {
      const me = await (await fetch('/api/v1/auth/me')).json();
      const response = await fetch('/api/v1' + where, {
        method: verb,
        headers: {
          'X-CSRF-Token': me.csrf_token, ...(sent ? { 'Content-Type': 'application/json' } : {}),
          ...(pinned === null ? {} : { 'If-Match': `"t${pinned}"` }),
        },
        ...(sent ? { body: JSON.stringify(sent) } : {}),
      });
      const text = await response.text();
      return { status: response.status, body: text ? JSON.parse(text) : null };
    }, [method, path, body ?? null, version ?? null]);
  }

  async end() {
    await this.browser?.close();
    for (const child of this.children) child.kill('SIGKILL');
    await Promise.all(this.children.map(({ ended }) => ended));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

// --pikaproxy PROGRAM, --shots DIRECTORY
export function options() {
  const value = (name, otherwise) => {
    const at = process.argv.indexOf(name);
    return at < 0 ? otherwise : process.argv[at + 1];
  };
  return {
    program: value('--pikaproxy', process.env.PIKAPROXY ?? join(here, '../../build/dev/pikaproxy')),
    shots: resolve(value('--shots', process.env.SHOTS ?? join(here, '../../build/shots'))),
  };
}
