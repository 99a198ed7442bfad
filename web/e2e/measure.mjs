// What the page costs: bytes to load, time until it can be used, processor when idle, a repaint of the
// whole grid. Prints figures, judges nothing: they depend on the machine.
//
//   node e2e/measure.mjs [seconds of idling]     PIKAPROXY=program in the environment

import { ADMIN_PASSWORD, Redis, Setup, options, pause, until } from './harness.mjs';

const RUNS = 7;
const REPAINTS = 20;
const idleSeconds = Number(process.argv[2] ?? 20);
const setup = new Setup(options());
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function makeCluster(page) {
  const ports = [await setup.redis(), await setup.redis()];
  for (const port of ports) {
    const { topology_version: version } = (await setup.call(page, 'GET', '/cluster')).body;
    await setup.call(page, 'POST', '/groups', { servers: [`127.0.0.1:${port}`] }, version);
  }
  const { topology_version: version } = (await setup.call(page, 'GET', '/cluster')).body;
  await setup.call(page, 'PUT', '/slots/assignment',
    { ranges: [{ from: 0, to: 511, group_id: 1 }, { from: 512, to: 1023, group_id: 2 }] }, version);
}

// Some requests each moment, for figures that change.
function work() {
  const client = new Redis(setup.proxyPort);
  let count = 0;
  const timer = setInterval(() => {
    for (let at = 0; at < 20; at++) client.send('SET', `key:${count++ % 5000}`, count).catch(() => {});
  }, 20);
  return () => (clearInterval(timer), client.close());
}

try {
  await setup.startProxy();
  await setup.startBrowser();
  const context = await setup.context();
  const page = await setup.page(context);
  await page.fill('input[name=username]', 'admin');
  await page.fill('input[name=password]', setup.firstPassword);
  await page.click('button[type=submit]');
  await page.getByLabel('New password', { exact: true }).fill(ADMIN_PASSWORD);
  await page.getByLabel('New password again').fill(ADMIN_PASSWORD);
  await page.getByRole('button', { name: 'Change password' }).click();
  await page.waitForSelector('.frame');
  await makeCluster(page);
  const stop = work();
  const devtools = await context.newCDPSession(page);
  // Processor time rather than time: what else runs on the machine does not count.
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  await devtools.send('Network.enable');
  const metrics = async () => Object.fromEntries((await devtools.send('Performance.getMetrics')).metrics.map(({ name, value }) => [name, value]));

  await devtools.send('Network.setCacheDisabled', { cacheDisabled: true });
  const paints = [];
  const uses = [];
  for (let run = 0; run < RUNS; run++) {
    await page.goto('about:blank');
    await page.goto(`${setup.url}/#/slots`, { waitUntil: 'commit' });
    await page.waitForFunction(() => document.querySelector('.cell.g-1'), null, { polling: 'raf' });
    uses.push(await page.evaluate(() => performance.now()));
    paints.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0));
  }
  const bytes = await page.evaluate(() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .filter(({ name }) => !name.includes('/api/')).reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0));
  console.log(`${(bytes / 1024).toFixed(1)} KB loaded for the page, nothing cached (the worker's script comes on top)`);
  console.log(`first paint ${Math.round(median(paints))} ms, all slots on screen ${Math.round(median(uses))} ms (medians of ${RUNS}, without cache)`);

  for (const view of ['overview', 'slots']) {
    await page.goto(`${setup.url}/#/${view}`);
    await page.waitForSelector('.main');
    await pause(3000);
    const before = await metrics();
    await pause(idleSeconds * 1000);
    const after = await metrics();
    console.log(`${view}, untouched for ${idleSeconds} s: ${((100 * (after.TaskDuration - before.TaskDuration)) / idleSeconds).toFixed(1)} % of a core`);
  }

  // Every cell gets another class each time: owner, then keys, then owner ...
  await until('the grid', () => page.locator('.cell.g-1').count());
  const before = await metrics();
  // All from within the page: what drives it from outside lays it out several times a click.
  await page.evaluate(async (repaints) => {
    const modes = document.querySelectorAll('.segments button');
    for (let at = 0; at < repaints; at++) {
      modes[at % 2 === 0 ? 2 : 0].click();
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    }
  }, REPAINTS);
  const after = await metrics();
  const each = (name) => ((1000 * (after[name] - before[name])) / REPAINTS).toFixed(1);
  console.log(`1,024 cells repainted, with the view around them: script ${each('ScriptDuration')} ms, style ${each('RecalcStyleDuration')} ms, ` +
    `layout ${each('LayoutDuration')} ms`);
  stop();
} finally {
  await setup.end();
}
