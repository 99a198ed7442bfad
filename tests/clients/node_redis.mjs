// What applications do with node-redis, through the proxy.   node_redis.mjs HOST PORT PASSWORD_PORT [2|3]

import { createRequire } from 'node:module';
import { createClient, createClientPool, defineScript } from 'redis';
import { Report } from './report.mjs';

const [host, port, passwordPort] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const RESP = Number(process.argv[5] ?? 2);
const { version } = createRequire(import.meta.url)('redis/package.json');
const clients = [];

async function connect(options = {}) {
  const { at = port, ...others } = options;
  const client = createClient({ socket: { host, port: at, reconnectStrategy: 20 }, RESP, ...others });
  client.on('error', () => {});
  clients.push(client);
  return client.connect();
}

const ADD = {
  NUMBER_OF_KEYS: 1,
  SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
  parseCommand(parser, key, value) {
    parser.pushKey(key);
    parser.push(String(value));
  },
  transformReply: (reply) => reply,
};

const redis = await connect({ scripts: { addTo: defineScript(ADD) } });

async function values(t) {
  await redis.flushAll();
  t.equal(await redis.set('k', 'v', { EX: 100, NX: true }), 'OK', 'SET with options');
  t.equal(await redis.get('k'), 'v', 'GET');
  t.equal(await redis.mSet({ a: '1', b: '2', c: '3' }), 'OK', 'MSET over groups');
  t.equal(await redis.mGet(['a', 'none', 'c']), ['1', null, '3'], 'MGET over groups');
  t.equal(await redis.del(['a', 'b', 'none']), 2, 'DEL over groups');
  await redis.hSet('h', { f: 1, g: 2 });
  t.equal({ ...await redis.hGetAll('h') }, { f: '1', g: '2' }, 'HGETALL');
  await redis.zAdd('z', [{ score: 1.5, value: 'a' }, { score: 2, value: 'b' }]);
  t.equal((await redis.zRangeWithScores('z', 0, -1)).map((one) => [one.value, one.score]), [['a', 1.5], ['b', 2]], 'ZRANGE');
  await redis.xAdd('x', '1-1', { f: 'v' });
  t.equal((await redis.xLen('x')), 1, 'XADD, XLEN');
  await t.fails(redis.lPush('k', '1'), /WRONGTYPE/, 'an error of a server');
  await t.fails(redis.rename('k', 'other'), /CROSSSLOT/, 'keys in two slots');
  await t.fails(redis.sendCommand(['NOSUCH', 'x']), /unknown command 'NOSUCH'/, 'an unknown command');
}

async function pipelines(t) {
  const keys = [...Array(1000).keys()].map((i) => `p${i}`);
  await Promise.all(keys.map((key, i) => redis.set(key, String(i))));
  t.equal(await Promise.all(keys.map((key) => redis.get(key))), keys.map((_, i) => String(i)), 'automatic pipelining');
  t.equal(await redis.multi().set('{t}p', '1').get('{t}p').execAsPipeline(), ['OK', '1'], 'a pipeline');
}

async function transactions(t) {
  t.equal(await redis.multi().set('{t}a', '1').incr('{t}a').exec(), ['OK', 2], 'MULTI, EXEC');
  await redis.watch('{t}a');
  await (await connect()).set('{t}a', '7');
  await t.fails(redis.multi().get('{t}a').exec(), /watched key/i, 'a watched key changed');
  await t.fails(redis.multi().get('{t}a').get('other').exec(), /EXECABORT|CROSSSLOT|commands failed/, 'a transaction over two slots');
}

async function scripts(t) {
  const keys = [...Array(10).keys()].map((i) => `n${i}`);
  t.equal(await Promise.all(keys.map((key) => redis.addTo(key, 5))), Array(10).fill(5), 'a script at each group');
  await t.fails(redis.evalSha('0'.repeat(40)), /NOSCRIPT/, 'an unknown script');
}

async function blocking(t) {
  const waiting = await connect();
  t.equal(await waiting.blPop('{q}1', 0.02), null, 'BLPOP in vain');
  const got = waiting.blPop(['{q}1', '{q}2'], 20);
  await redis.rPush('{q}2', 'x');
  t.equal({ ...await got }, { key: '{q}2', element: 'x' }, 'BLPOP gets what another client pushes');
}

async function iterators(t) {
  await redis.flushAll();
  await redis.mSet(Object.fromEntries([...Array(500).keys()].map((i) => [`key${i}`, '1'])));
  const seen = new Set();
  for await (const keys of redis.scanIterator({ COUNT: 50 })) keys.forEach((key) => seen.add(key));
  t.equal(seen.size, 500, 'scanIterator sees all keys of all groups');
  await redis.sAdd('set', [...Array(1000).keys()].map(String));
  const members = new Set();
  for await (const some of redis.sScanIterator('set')) some.forEach((member) => members.add(member));
  t.equal(members.size, 1000, 'sScanIterator');
}

async function subscriptions(t) {
  const subscriber = await connect();
  const heard = new Promise((resolve) => { subscriber.pSubscribe('news.*', (text, channel) => resolve([channel, text])).then(
    () => redis.publish('news.today', 'rain')); });
  t.equal(await heard, ['news.today', 'rain'], 'a pattern hears what another client publishes');
  await subscriber.pUnsubscribe('news.*');
  t.equal(await redis.publish('news.today', 'sun'), 0, 'and nothing after it is left');
}

async function connections(t) {
  const named = await connect({ database: 3, name: 'app' });
  await named.set('only', 'there');
  t.equal([await named.get('only'), await redis.get('only'), await named.clientGetName()], ['there', null, 'app'], 'a database, a name');
  t.equal(await redis.sendCommand(['CLIENT', 'KILL', 'ID', String(await named.clientId())]), 1, 'CLIENT KILL');
  t.equal(await named.get('only'), 'there', 'a connection that was lost is opened again, in its database');
  await t.fails(connect({ at: passwordPort, socket: { host, port: passwordPort, reconnectStrategy: false } }).then((one) => one.get('k')),
    /NOAUTH/, 'no password');
  t.equal(await (await connect({ at: passwordPort, password: 'secret' })).ping(), 'PONG', 'a password');
  t.equal(await (await connect({ at: passwordPort, username: 'app', password: 'secret2' })).ping(), 'PONG', 'a user and a password');
  const pool = createClientPool({ socket: { host, port }, RESP }, { minimum: 2, maximum: 5 });
  await pool.connect();
  t.equal(await Promise.all([...Array(50).keys()].map(() => pool.ping())), Array(50).fill('PONG'), 'a pool');
  pool.destroy();
}

const t = new Report();
for (const test of [values, pipelines, transactions, scripts, blocking, iterators, subscriptions, connections]) await t.run(test);
for (const client of clients) {
  if (client.isOpen) client.destroy();
}
t.end(`node-redis ${version}, RESP${RESP}`);
