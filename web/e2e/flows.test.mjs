// The dashboard as its users see it: a browser, the real program, real servers, real traffic.
//
//   node --test e2e/flows.test.mjs     PIKAPROXY=program SHOTS=directory in the environment
//
// The cases build on each other: an empty cluster becomes one with traffic and migrations.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it as testCase } from 'node:test';

import { ADMIN_PASSWORD, Redis, Setup, options, pause, until } from './harness.mjs';

const KEYS = 12000;
const HOSTILE = '<img src=x onerror=alert(1)>';
const VIEWS = ['overview', 'slots', 'groups', 'migrations', 'proxies', 'slowlog', 'audit', 'settings', 'api'];
const setup = new Setup(options());
let ports;
let context;
let page;
let traffic;

// Sets and gets keys until stopped; counts what the clients of the proxy would have seen fail.
function startTraffic() {
  const state = { done: 0, errors: [], stop: false };
  state.ended = (async () => {
    const client = new Redis(setup.proxyPort);
    while (!state.stop) {
      const key = `key:${state.done % KEYS}`;
      try {
        await client.send('SET', key, state.done);
        assert.equal(await client.send('GET', key), String(state.done));
      } catch (error) {
        state.errors.push(String(error));
        if (/lost/.test(String(error))) break;
      }
      state.done++;
    }
    client.close();
  })();
  return state;
}

async function fill() {
  const client = new Redis(setup.proxyPort);
  await Promise.all(Array.from({ length: KEYS }, (_, at) => client.send('SET', `key:${at}`, `value ${at}`)));
  client.close();
}

const cell = (slot) => page.locator(`.cell[data-slot="${slot}"]`);
const slotsOf = async (group) => {
  const { body } = await setup.call(page, 'GET', '/slots');
  return body.slots.filter((slot) => slot.group === group && slot.state === 'normal').length;
};
const migrations = async () => (await setup.call(page, 'GET', '/migrations')).body.migrations;
const newest = async () => (await migrations()).sort((a, b) => b.id - a.id)[0];
const show = async (view) => {
  await page.goto(`${setup.url}/#/${view}`);
  await page.waitForSelector('.main');
};

// What those who cannot see or use a mouse would stumble over, on screen as it is, in both themes.
// Page scripts may only come from the server: the checker is run past the policy, by the browser.
async function checkAccess(name, inside) {
  const { default: axe } = await import('axe-core');
  await page.evaluate(axe.source);
  const before = await page.evaluate(() => document.documentElement.dataset.theme);
  for (const theme of ['dark', 'light']) {
    await page.evaluate((one) => (document.documentElement.dataset.theme = one), theme);
    await pause(250);  // Colours change gradually.
    const { violations } = await page.evaluate((where) =>
      globalThis.axe.run(where ?? document, { resultTypes: ['violations'] }), inside ?? null);
    const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 120)).join(' | ')}`);
    assert.deepEqual(grave, [], `${name}, ${theme}`);
    await setup.shot(page, `${name}-${theme}`);
  }
  await page.evaluate((one) => (document.documentElement.dataset.theme = one), before);
}

async function addGroup(port, name) {
  await page.getByRole('button', { name: /Add (group|another group)/ }).first().click();
  const dialog = page.locator('dialog');
  await dialog.getByLabel('Servers').fill(`127.0.0.1:${port}`);
  if (name) await dialog.getByLabel('Name (optional)').fill(name);
  await dialog.getByRole('button', { name: 'Add group', exact: true }).click();
}

async function typeName() {
  const field = page.locator('dialog .type-name input');
  if (await field.count() === 0) return;
  const text = await page.locator('dialog .type-name span').textContent();
  await field.fill(/^Type (.*) to confirm$/.exec(text)[1]);
}

async function dragSelect(from, to) {
  await cell(from).hover();
  await page.mouse.down();
  const box = await cell(to).boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
}

before(async () => {
  ports = [await setup.redis(), await setup.redis(), await setup.redis()];
  await setup.startProxy();
  await setup.startBrowser();
  context = await setup.context();
  page = await setup.page(context);
});

after(async () => {
  if (traffic) traffic.stop = true;
  await setup.end();
});

// What follows a failure stands on what failed: it would only take long to say so again.
let hasFailed = false;
function it(name, body) {
  testCase(name, async (test) => {
    if (hasFailed) return test.skip('after a failure');
    try {
      await body();
    } catch (error) {
      hasFailed = true;
      await setup.shot(page, 'failure').catch(() => {});
      throw error;
    }
  });
}

describe('the dashboard', () => {
  it('asks who is there, and says when name or password is wrong', async () => {
    await page.waitForSelector('form');
    await checkAccess('login');
    await page.fill('input[name=username]', 'admin');
    await page.fill('input[name=password]', 'not it');
    await page.click('button[type=submit]');
    await page.getByText('Name or password is wrong.').waitFor();
    assert.deepEqual(setup.complaintsBut(/401/), []);
    await page.fill('input[name=username]', 'admin');
    await page.fill('input[name=password]', setup.firstPassword);
    await page.click('button[type=submit]');
    await page.getByText('Choose a password of your own').waitFor();
    await page.getByLabel('New password', { exact: true }).fill(ADMIN_PASSWORD);
    await page.getByLabel('New password again').fill(ADMIN_PASSWORD);
    await page.getByRole('button', { name: 'Change password' }).click();
    await page.getByText('Three steps to a working proxy').waitFor();
    await page.locator('.pill.good', { hasText: 'Live' }).waitFor();
  });

  it('leads from an empty cluster to the first reply', async () => {
    await checkAccess('first-run');
    for (const view of ['slots', 'groups', 'migrations', 'slowlog', 'settings']) {
      await show(view);
      await pause(300);
      await checkAccess(`empty-${view}`);
    }
    await show('overview');
    await addGroup(ports[0]);
    await page.getByText('1 group is there').waitFor();
    await addGroup(ports[1]);
    await page.getByText('2 groups are there').waitFor();
    await page.getByRole('button', { name: 'Spread evenly over all groups' }).click();
    await setup.shot(page, 'assign');
    await page.locator('dialog').getByRole('button', { name: 'Assign' }).click();
    await page.getByText('Three steps to a working proxy').waitFor({ state: 'detached' });
    const client = new Redis(setup.proxyPort);
    assert.equal(await client.send('SET', 'hello', 'world'), 'OK');
    assert.equal(await client.send('GET', 'hello'), 'world');
    client.close();
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('keeps no secret where scripts could find it', async () => {
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    const { body: { csrf_token: csrf } } = await setup.call(page, 'GET', '/auth/me');
    for (const secret of [ADMIN_PASSWORD, csrf]) assert.ok(!kept.includes(secret), kept);
    assert.doesNotMatch(kept, /pikaproxy_\d+=/);
  });

  it('says which server cannot be reached', async () => {
    await show('groups');
    await addGroup(1);
    await page.locator('dialog .problem').waitFor();
    assert.match(await page.locator('dialog .problem').textContent(), /127\.0\.0\.1:1/);
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    assert.deepEqual(setup.complaintsBut(/422|409|502|503/), []);
  });

  it('shows traffic as it comes', async () => {
    await fill();
    traffic = startTraffic();
    await show('overview');
    await until('operations on the page', async () => /^[1-9]/.test(await page.locator('.meter-value').first().textContent()));
    await until('quiet', async () => await page.locator('.toast').count() === 0);
    await setup.shot(page, 'overview');
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('selects slots by mouse, by typing and by keyboard, and keeps them in the address', async () => {
    await show('slots');
    await cell(0).waitFor();
    await dragSelect(3, 40);
    await page.getByText('38 selected').waitFor();
    assert.match(page.url(), /sel=3-40/);
    await cell(50).click({ modifiers: ['Control'] });
    await page.getByText('39 selected').waitFor();
    await cell(52).click({ modifiers: ['Shift'] });
    await page.getByText('3 selected', { exact: true }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByText('0 selected').waitFor();
    await page.keyboard.press('Shift+ArrowDown');
    await page.getByText('33 selected').waitFor();
    await page.keyboard.press('Control+a');
    await page.getByText('1024 selected').waitFor();
    await page.getByLabel('Slots, such as').fill('5-6,9');
    await page.getByText('3 selected').waitFor();
    await page.reload();
    await page.getByText('3 selected').waitFor();
    await page.getByLabel('Find the slot of a key').fill('hello');
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByText('is in slot').waitFor();
    await page.getByText('1 selected').waitFor();
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('moves a selection while clients work, with the keyboard alone', async () => {
    await show('slots');
    await cell(0).waitFor();
    await page.getByLabel('Slots, such as').fill('0-39');
    await page.getByText('40 selected').waitFor();
    await cell(0).focus();
    await page.keyboard.press('Enter');
    await page.locator('dialog .shares').waitFor();
    await setup.shot(page, 'plan-selection');
    const start = page.getByRole('button', { name: 'Start migration' });
    for (let steps = 0; steps < 40 && !(await start.evaluate((one) => one === document.activeElement)); steps++) {
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await until('the migration', async () => (await newest())?.state === 'succeeded');
    assert.equal(await slotsOf(2), 512 + 40);
    assert.deepEqual(traffic.errors, []);
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('moves what was dragged over back, with the mouse', async () => {
    await show('slots');
    await cell(0).waitFor();
    await dragSelect(0, 39);
    await page.getByText('40 selected').waitFor();
    await page.getByLabel('Target group').selectOption({ label: 'group-1' });
    await page.getByRole('button', { name: 'Move…' }).click();
    await page.locator('dialog .shares').waitFor();
    // Nobody has counted; the page says so.
    assert.match(await page.locator('dialog .meter-value').nth(1).textContent(), /^≈ [1-9]/);
    await page.getByRole('button', { name: 'Start migration' }).click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    await until('the migration', async () => (await newest())?.id === 2 && (await newest()).state === 'succeeded');
    assert.equal(await slotsOf(1), 512);
    assert.deepEqual(traffic.errors, []);
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('is used from login to plan without a mouse', async () => {
    const user = await setup.page(await setup.context());
    await user.locator('input[name=username]').waitFor();
    const isOn = (what) => user.evaluate((selector) => document.activeElement?.matches(selector) === true, what);
    const tabTo = async (what, most = 60) => {
      for (let steps = 0; steps < most && !(await isOn(what)); steps++) await user.keyboard.press('Tab');
      assert.ok(await isOn(what), `Tab does not lead to ${what}`);
    };
    await tabTo('input[name=username]');
    await user.keyboard.type('admin');
    await tabTo('input[name=password]');
    await user.keyboard.type(ADMIN_PASSWORD);
    await user.keyboard.press('Enter');
    await user.waitForSelector('.frame');
    await user.locator('.pill.good', { hasText: 'Live' }).waitFor();
    await user.keyboard.press('Tab');
    await tabTo('.skip', 40);
    await user.keyboard.press('Enter');
    assert.ok(await isOn('#content'));
    await user.keyboard.press('?');
    await user.locator('dialog').waitFor();
    await user.keyboard.press('Escape');
    await user.locator('dialog').waitFor({ state: 'detached' });
    await user.keyboard.press('g');
    await user.keyboard.press('s');
    await user.locator('.cell[data-slot="0"]').waitFor();
    await tabTo('.cell', 80);
    await user.keyboard.press('Shift+ArrowRight');
    await user.getByText('2 selected', { exact: true }).waitFor();
    await user.keyboard.press('Enter');
    await user.locator('dialog .shares').waitFor();
    await user.keyboard.press('Escape');
    await user.locator('dialog').waitFor({ state: 'detached' });
    assert.ok(await isOn('.cell'), 'the focus is back where it was');
    await user.close();
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('balances three groups after the cluster\'s name was typed; pauses, changes the rate, goes on', async () => {
    await show('groups');
    await addGroup(ports[2], 'third');
    await page.getByRole('heading', { name: 'third' }).waitFor();
    await show('slots');
    await page.getByRole('button', { name: 'Rebalance…' }).click();
    await page.locator('dialog .shares').waitFor();
    const start = page.getByRole('button', { name: 'Start migration' });
    assert.equal(await start.isDisabled(), true);
    await setup.shot(page, 'plan');
    await page.getByLabel('Keys per second').fill('0');
    await typeName();
    await start.click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.locator('.cell.migrating').first().waitFor();
    await pause(700);
    await setup.shot(page, 'migrating');
    await show('migrations');
    await page.getByRole('button', { name: 'Pause' }).first().click();
    await page.locator('dialog').getByRole('button', { name: 'Pause' }).click();
    await page.locator('.pill.warn', { hasText: 'paused' }).waitFor();
    assert.equal((await newest()).state, 'paused');
    await page.getByText('Slots', { exact: true }).last().click();
    await setup.shot(page, 'migration-paused');
    await page.getByLabel('Keys per second').fill('1');
    await until('the new rate', async () => (await newest()).rate_limit_keys_per_second === 200);
    await page.getByRole('button', { name: 'Go on' }).click();
    await until('it goes on', async () => (await newest()).state === 'running');
    assert.deepEqual(traffic.errors, []);
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('cancels: everything is back where it was', async () => {
    await page.getByRole('button', { name: 'Cancel…' }).first().click();
    await setup.shot(page, 'cancel');
    await page.getByRole('button', { name: 'Cancel the migration' }).click();
    await until('the way back', async () => (await newest()).state === 'cancelled', 60_000);
    assert.equal(await slotsOf(3), 0);
    assert.deepEqual(traffic.errors, []);
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('empties a group, which can then be removed', async () => {
    await show('groups');
    const card = page.locator('.group-card', { hasText: 'group-1' });
    assert.equal(await card.getByRole('button', { name: 'Remove group…' }).isDisabled(), true);
    await card.getByRole('button', { name: 'Empty…' }).click();
    await page.locator('dialog .shares').waitFor();
    await typeName();
    await page.getByRole('button', { name: 'Start migration' }).click();
    await until('the drain', async () => (await newest()).state === 'succeeded', 60_000);
    assert.equal(await slotsOf(1), 0);
    await show('groups');
    await until('the button', async () => !(await card.getByRole('button', { name: 'Remove group…' }).isDisabled()));
    await card.getByRole('button', { name: 'Remove group…' }).click();
    await typeName();
    await page.locator('dialog').getByRole('button', { name: 'Remove' }).click();
    await card.waitFor({ state: 'detached' });
    assert.deepEqual(traffic.errors, []);
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('explains to the slower of two operators that the topology has changed', async () => {
    await show('groups');
    const card = page.locator('.group-card', { hasText: 'third' });
    await card.getByRole('button', { name: 'Edit…' }).click();
    await page.locator('dialog').getByLabel('Weight').fill('3');
    const second = await setup.page(await setup.context());
    await setup.logIn(second);
    const { body } = await setup.call(second, 'GET', '/cluster');
    assert.equal((await setup.call(second, 'PATCH', '/groups/3', { weight: 2 }, body.topology_version)).status, 200);
    await second.close();
    await card.getByText('Weight 2').waitFor();
    await page.locator('dialog').getByRole('button', { name: 'Save' }).click();
    await page.getByText('Somebody has changed the topology since you looked.', { exact: false }).waitFor();
    await setup.shot(page, 'stale-version');
    await page.locator('dialog').getByRole('button', { name: 'Save' }).click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    await card.getByText('Weight 3').waitFor();
    assert.deepEqual(setup.complaintsBut(/412/), []);
  });

  it('shows hostile names as text', async () => {
    await show('groups');
    await page.locator('.group-card', { hasText: 'third' }).getByRole('button', { name: 'Edit…' }).click();
    await page.locator('dialog').getByLabel('Name').fill(HOSTILE);
    await page.locator('dialog').getByRole('button', { name: 'Save' }).click();
    // Taken or refused: in both cases it is text on the page, and no element.
    await page.waitForFunction((text) => document.body.innerText.includes(text) || document.querySelector('dialog .problem'), HOSTILE);
    await page.keyboard.press('Escape');
    // The same as the name of a client, a key that is used much and slow, a command, and whoever tried to log in.
    const client = new Redis(setup.proxyPort);
    await client.send('CLIENT', 'SETNAME', HOSTILE.replace(/ /g, '/'));
    await client.send('EVAL', 'for i = 1, 5e6 do end return 1', 1, HOSTILE);
    await Promise.all(Array.from({ length: 3000 }, () => client.send('SET', HOSTILE, HOSTILE)));
    await client.send(HOSTILE).catch(() => {});
    await page.evaluate((name) => fetch('/api/v1/auth/login', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: name, password: name }),
    }), HOSTILE);
    const seen = {};
    for (const view of [...VIEWS, 'proxies?id=local']) {
      await show(view);
      await pause(400);
      seen[view] = await page.evaluate(() => document.body.innerText);
      assert.equal(await page.locator('img[src="x"]').count(), 0, view);
    }
    assert.ok(seen['proxies?id=local'].includes(HOSTILE.replace(/ /g, '/')));
    assert.ok(seen.slowlog.split(HOSTILE).length >= 3, 'in the slow log and among the hot keys');
    client.close();
    await show('slots');
    await page.getByLabel('Find the slot of a key').fill(HOSTILE);
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByText('is in slot').waitFor();
    await show('groups');
    await addGroup(HOSTILE);
    await page.locator('dialog .problem').waitFor();
    await page.keyboard.press('Escape');
    await show('settings');
    await page.getByRole('button', { name: 'Import…' }).click();
    await page.getByLabel('Document').fill(JSON.stringify({ format: HOSTILE, groups: [{ id: 1, name: HOSTILE, servers: [] }], slots: [] }));
    await page.getByRole('button', { name: 'Show what would change' }).click();
    await page.locator('dialog .problem').waitFor();
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('img[src="x"]').count(), 0);
    await show(`audit?actor=${encodeURIComponent(HOSTILE)}`);
    await pause(300);
    assert.equal(await page.locator('img[src="x"]').count(), 0);
    assert.deepEqual(setup.complaintsBut(/400|401|422/), []);
  });

  it('takes the topology out, and shows what a document would change before it is put back', async () => {
    await show('settings');
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export', exact: true }).click()]);
    const document = JSON.parse(await readFile(await download.path(), 'utf8'));
    assert.equal(document.format, 'pikaproxy-topology-1');
    const last = document.groups[document.groups.length - 1];
    const check = async () => {
      await page.getByLabel('Document').fill(JSON.stringify(document));
      await page.getByRole('button', { name: 'Show what would change' }).click();
    };
    await page.getByRole('button', { name: 'Import…' }).click();
    await check();
    await page.getByText('Nothing would change.').waitFor();
    await page.getByRole('button', { name: 'Change the document' }).click();
    last.weight = 7;
    await check();
    await page.locator('dialog').getByText(/3 → 7/).waitFor();
    assert.equal(await page.locator('dialog').getByRole('button', { name: 'Import', exact: true }).isDisabled(), true);
    await checkAccess('import', 'dialog');
    await typeName();
    await page.locator('dialog').getByRole('button', { name: 'Import', exact: true }).click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    assert.equal((await setup.call(page, 'GET', `/groups/${last.id}`)).body.weight, 7);
    // Slots that would leave their keys behind are refused, until that is asked for.
    await page.getByRole('button', { name: 'Import…' }).click();
    document.slots[0].group_id = last.id === document.slots[0].group_id ? document.groups[0].id : last.id;
    await check();
    await page.getByText('a migration moves them together with their keys', { exact: false }).waitFor();
    await page.getByLabel('Take slots away from their owners').check();
    await check();
    await page.locator('dialog td').first().waitFor();
    await page.getByRole('button', { name: 'Change the document' }).click();
    // Of codis: recognised, and refused where there are groups.
    await page.getByLabel('Document').fill(JSON.stringify({ slots: [], group: [{ id: 1, servers: [{ server: '127.0.0.1:1' }] }] }));
    await page.getByText('A cluster of codis.', { exact: false }).waitFor();
    await page.getByRole('button', { name: 'Show what would change' }).click();
    await page.getByText('only be taken over into an empty one', { exact: false }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    assert.deepEqual(setup.complaintsBut(/409/), []);
  });

  it('lets a viewer look and change nothing', async () => {
    await show('settings');
    await page.getByRole('button', { name: 'Add user…' }).click();
    await page.locator('dialog').getByLabel('Name').fill('vera');
    await page.locator('dialog').getByLabel('Password').fill('only looking 1');
    await page.locator('dialog').getByRole('button', { name: 'Add', exact: true }).click();
    await page.locator('td', { hasText: 'vera' }).waitFor();
    await setup.shot(page, 'settings');
    const viewer = await setup.page(await setup.context());
    await setup.logIn(viewer, 'vera', 'only looking 1');
    for (const view of VIEWS) {
      await viewer.goto(`${setup.url}/#/${view}`);
      await viewer.waitForSelector('.banner');
      await pause(300);
      const names = await viewer.locator('main button').allTextContents();
      assert.deepEqual(names.filter((name) => /Add|Edit|Remove|Move|Assign|Rebalance|Empty|Pause|Cancel|Drain|token|backup/i.test(name)), [], view);
    }
    const { status } = await setup.call(viewer, 'DELETE', '/groups/2', undefined, 1);
    assert.equal(status, 403);
    await viewer.close();
    assert.deepEqual(setup.complaintsBut(/403/), []);
  });

  it('says that the session has ended, and goes on where it was', async () => {
    await show('slots?mode=keys');
    await context.clearCookies();
    await until('the login', async () => {
      await page.evaluate(() => dispatchEvent(new HashChangeEvent('hashchange')));
      return page.locator('input[name=username]').count();
    });
    await page.getByText('Your session has ended.', { exact: false }).waitFor();
    await setup.logIn(page);
    await page.locator('.grid.heat').waitFor();
    assert.deepEqual(setup.complaintsBut(/401/), []);
  });

  it('is live in eight tabs at once, over one stream', async () => {
    const tabs = [];
    for (let at = 0; at < 7; at++) tabs.push(await setup.page(context, '/#/groups'));
    for (const tab of tabs) await tab.locator('.pill.good', { hasText: 'Live' }).waitFor();
    for (const tab of tabs) await tab.close();
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('promotes a replica while slots are on their way to its group', async () => {
    const replica = await setup.redis('--repl-diskless-sync-delay', '0');
    const { servers } = (await setup.call(page, 'GET', '/groups/3')).body;
    await show('groups');
    const card = page.locator('.group-card').filter({ hasText: servers[0].addr });
    await card.getByRole('button', { name: 'Add server…' }).click();
    await page.locator('dialog').getByLabel('Address').fill(`127.0.0.1:${replica}`);
    await page.locator('dialog').getByRole('button', { name: 'Add', exact: true }).click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    await until('the replica to follow', async () =>
      (await setup.call(page, 'GET', '/groups/3')).body.servers.some(({ role, link_up }) => role === 'replica' && link_up));
    const from = (await setup.call(page, 'GET', '/slots')).body.slots.filter(({ group, state }) => group === 2 && state === 'normal');
    const begun = await setup.call(page, 'POST', '/migrations',
      { slots: from.slice(0, 64).map(({ slot }) => slot), target_group: 3, rate_limit_keys_per_second: 20 });
    assert.equal(begun.status, 202);
    await until('slots to move', async () => (await newest()).steps.migrating > 0);
    await card.getByRole('button', { name: 'Promote…' }).click();
    await setup.shot(page, 'promote');
    await page.locator('dialog').getByRole('button', { name: 'Promote', exact: true }).click();
    await page.locator('.toast', { hasText: `127.0.0.1:${replica} is the master.` }).waitFor({ timeout: 30_000 });
    await card.locator('tr', { hasText: `127.0.0.1:${replica}` }).getByText('master', { exact: true }).waitFor();
    await setup.shot(page, 'promoted');
    await until('the migration to go on', async () => (await newest()).steps.migrating > 0);
    assert.deepEqual(traffic.errors, []);
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('says how old it is when the program is gone, and recovers when that is back', async () => {
    await show('slots');
    await page.locator('.pill.good', { hasText: 'Live' }).waitFor();
    traffic.stop = true;
    await traffic.ended;
    await setup.call(page, 'PATCH', `/migrations/${(await newest()).id}`, { rate_limit_keys_per_second: null });
    await until('the end of the migration before', async () => (await newest()).state === 'succeeded', 60_000);
    // Nobody asks for keys now, so it takes minutes.
    const from = (await setup.call(page, 'GET', '/slots')).body.slots.filter(({ group, state }) => group === 2 && state === 'normal');
    const { body: running } = await setup.call(page, 'POST', '/migrations',
      { slots: from.slice(0, 64).map(({ slot }) => slot), target_group: 3, rate_limit_keys_per_second: 2 });
    await until('slots to move', async () => (await newest()).steps.migrating > 0);
    const { topology_version: version } = (await setup.call(page, 'GET', '/cluster')).body;
    await setup.stopProxy('SIGKILL');
    await page.locator('.banner').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Rebalance…' }).isDisabled(), true);
    await setup.shot(page, 'stale');
    await setup.startProxy();
    await page.locator('.pill.good', { hasText: 'Live' }).waitFor({ timeout: 30_000 }).catch(async () => {
      // Sessions may end with the program: then it asks who is there.
      await setup.logIn(page);
      await page.locator('.pill.good', { hasText: 'Live' }).waitFor();
    });
    const { body } = await setup.call(page, 'GET', '/cluster');
    assert.ok(body.topology_version >= version);
    // The migration that was at work goes on, and the page says so.
    await show('migrations');
    await page.locator('.pill.work', { hasText: 'running' }).first().waitFor();
    await setup.call(page, 'PATCH', `/migrations/${running.id}`, { rate_limit_keys_per_second: null });
    await until('its end', async () => (await newest()).state === 'succeeded', 60_000);
    await page.locator('.pill.good', { hasText: 'done' }).first().waitFor();
    setup.complaintsBut();
  });

  it('speaks Chinese, and can be dark', async () => {
    await page.getByRole('button', { name: '中文' }).click();
    await show('slots');
    await page.getByRole('heading', { name: '槽位', level: 1 }).waitFor();
    await setup.shot(page, 'slots-zh');
    await show('overview');
    await pause(500);
    await setup.shot(page, 'overview-zh');
    // Automatic, then dark.
    await page.getByRole('button', { name: /配色/ }).click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    await pause(500);
    await setup.shot(page, 'overview-dark-zh');
    await show('slots');
    await pause(300);
    await setup.shot(page, 'slots-dark-zh');
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh');
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('fits a phone', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    for (const view of VIEWS) {
      await show(view);
      await pause(300);
      const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(wide <= seen, `${view} is ${wide} px wide on ${seen}`);
      await setup.shot(page, `phone-${view}`, { fullPage: view !== 'api' });
    }
    await page.setViewportSize({ width: 1366, height: 860 });
    await page.getByRole('button', { name: 'English' }).click();
    assert.deepEqual(setup.complaintsBut(), []);
  });

  it('has no serious fault for those who cannot see or use a mouse', async () => {
    for (const view of VIEWS) {
      await show(view);
      await pause(400);
      await checkAccess(view);
    }
    await page.getByRole('button', { name: 'admin' }).click();
    await checkAccess('menu');
    await page.keyboard.press('Escape');
    await show('slots');
    await page.getByRole('button', { name: 'Rebalance…' }).click();
    await page.locator('dialog .shares').waitFor();
    await checkAccess('plan', 'dialog');
    await page.getByRole('button', { name: 'Change options' }).click();
    await checkAccess('plan-options', 'dialog');
    await page.keyboard.press('Escape');
    await show('groups');
    await page.getByRole('button', { name: 'Add group…' }).click();
    await checkAccess('add-group', 'dialog');
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    await checkAccess('keys', 'dialog');
    await page.keyboard.press('Escape');
    assert.deepEqual(setup.complaintsBut(), []);
  });
});
