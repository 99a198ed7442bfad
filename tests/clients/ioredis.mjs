// What applications do with ioredis, through the proxy.   ioredis.mjs HOST PORT PASSWORD_PORT

import { createRequire } from 'node:module';
import { Redis } from 'ioredis';
import { Report } from './report.mjs';

const [host, port, passwordPort] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const { version } = createRequire(import.meta.url)('ioredis/package.json');
const clients = [];

function connect(options = {}) {
  const client = new Redis({ host, port, ...options });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

const redis = connect();

async function values(t) {
  t.equal(await redis.set('k', 'v', 'EX', 100, 'NX'), 'OK', 'SET with options');
  t.equal(await redis.get('k'), 'v', 'GET');
  t.equal(await redis.getBuffer('k'), Buffer.from('v'), 'GET as a buffer');
  t.equal(await redis.mset({ a: 1, b: 2, c: 3 }), 'OK', 'MSET over groups');
  t.equal(await redis.mget('a', 'none', 'c'), ['1', null, '3'], 'MGET over groups');
  t.equal(await redis.del('a', 'b', 'none'), 2, 'DEL over groups');
  await redis.hset('h', { f: 1, g: 2 });
  t.equal({ ...await redis.hgetall('h') }, { f: '1', g: '2' }, 'HGETALL');
  await redis.zadd('z', 1.5, 'a', 2, 'b');
  t.equal(await redis.zrange('z', 0, -1, 'WITHSCORES'), ['a', '1.5', 'b', '2'], 'ZRANGE');
  await redis.xadd('x', '1-1', 'f', 'v');
  t.equal(await redis.xread('STREAMS', 'x', 0), [['x', [['1-1', ['f', 'v']]]]], 'XREAD');
  await t.fails(redis.lpush('k', 1), /WRONGTYPE/, 'an error of a server');
  await t.fails(redis.rename('k', 'other'), /CROSSSLOT/, 'keys in two slots');
  await t.fails(redis.call('NOSUCH', 'x'), /unknown command 'NOSUCH'/, 'an unknown command');
}

async function pipelines(t) {
  const pipeline = redis.pipeline();
  for (let i = 0; i < 1000; ++i) pipeline.set(`p${i}`, i).incr(`p${i}`);
  const replies = await pipeline.exec();
  t.check(replies.length === 2000 && replies.every(([error, value], i) => !error && (i % 2 === 0 || value === (i + 1) / 2)),
    'a pipeline over all groups');
  const automatic = connect({ enableAutoPipelining: true });
  t.equal(await Promise.all([...Array(500).keys()].map((i) => automatic.get(`p${i}`))),
    [...Array(500).keys()].map((i) => String(i + 1)), 'automatic pipelining');
}

async function transactions(t) {
  t.equal(await redis.multi().set('{t}a', 1).incr('{t}a').exec(), [[null, 'OK'], [null, 2]], 'MULTI, EXEC in a pipeline');
  await redis.multi({ pipeline: false });
  t.equal(await redis.set('{t}a', 5), 'QUEUED', 'MULTI, queued one by one');
  t.equal(await redis.exec(), [[null, 'OK']], 'EXEC');
  await redis.watch('{t}a');
  await connect().set('{t}a', 7);
  t.equal(await redis.multi().get('{t}a').exec(), null, 'a watched key changed');
}

async function scripts(t) {
  redis.defineCommand('addTo', { numberOfKeys: 1, lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])" });
  const keys = [...Array(10).keys()].map((i) => `n${i}`);
  t.equal(await Promise.all(keys.map((key) => redis.addTo(key, 5))), Array(10).fill(5), 'a script at each group');
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.addTo(key, 1);
  t.equal((await pipeline.exec()).map(([, value]) => value), Array(10).fill(6), 'a script in a pipeline');
  await t.fails(redis.evalsha('0'.repeat(40), 0), /NOSCRIPT/, 'an unknown script');
}

async function blocking(t) {
  const waiting = connect();
  t.equal(await waiting.blpop('{q}1', 0.02), null, 'BLPOP in vain');
  const got = waiting.blpop('{q}1', '{q}2', 20);
  await redis.rpush('{q}2', 'x');
  t.equal(await got, ['{q}2', 'x'], 'BLPOP gets what another client pushes');
}

async function streams(t) {
  await redis.flushall();
  await redis.mset(Object.fromEntries([...Array(500).keys()].map((i) => [`key${i}`, 1])));
  const seen = new Set();
  for await (const keys of redis.scanStream({ count: 50 })) keys.forEach((key) => seen.add(key));
  t.equal(seen.size, 500, 'scanStream sees all keys of all groups');
  await redis.sadd('set', [...Array(1000).keys()]);
  const members = new Set();
  for await (const some of redis.sscanStream('set')) some.forEach((member) => members.add(member));
  t.equal(members.size, 1000, 'sscanStream');
}

async function subscriptions(t) {
  const subscriber = connect();
  t.equal(await subscriber.subscribe('news', 'sports'), 2, 'SUBSCRIBE');
  const heard = new Promise((resolve) => { subscriber.on('message', (channel, text) => resolve([channel, text])); });
  t.equal(await redis.publish('sports', 'won'), 1, 'PUBLISH counts who hears it');
  t.equal(await heard, ['sports', 'won'], 'a channel hears what another client publishes');
  await subscriber.unsubscribe();
  t.equal(await subscriber.get('key1'), '1', 'after UNSUBSCRIBE other commands are served again');
}

async function connections(t) {
  const named = connect({ db: 3, connectionName: 'app' });
  await named.set('only', 'there');
  t.equal([await named.get('only'), await redis.get('only'), await named.client('GETNAME')], ['there', null, 'app'], 'a database, a name');
  t.equal(await redis.client('KILL', 'ID', await named.client('ID')), 1, 'CLIENT KILL');
  t.equal(await named.get('only'), 'there', 'a connection that was lost is opened again, in its database');
  await t.fails(connect({ port: passwordPort, maxRetriesPerRequest: 0 }).get('k'), /NOAUTH|max retries/, 'no password');
  t.equal(await connect({ port: passwordPort, password: 'secret' }).ping(), 'PONG', 'a password');
  t.equal(await connect({ port: passwordPort, username: 'app', password: 'secret2' }).ping(), 'PONG', 'a user and a password');
  t.equal(await connect({ keyPrefix: 'my:' }).set('k', 1), 'OK', 'a prefix of keys');
  t.equal(await redis.exists('my:k'), 1, 'is in the key');
  t.equal(await redis.quit(), 'OK', 'QUIT');
}

const t = new Report();
await redis.flushall();
for (const test of [values, pipelines, transactions, scripts, blocking, streams, subscriptions, connections]) await t.run(test);
for (const client of clients) client.disconnect();
t.end(`ioredis ${version}`);
