#!/usr/bin/python3
"""Clients that speak to a Redis Cluster only take the proxy for one of a single node, when it is told to be."""

import re
import sys

from redis.cluster import RedisCluster

from checks import run_tests
from resp import RespError
from servers import PikaProxy, RedisServer


class Two:
    def __init__(self, t, options=None, **kwargs):
        self.servers = [RedisServer() for _ in range(2)]
        self.proxy = PikaProxy(t.pikaproxy, self.servers, options, **kwargs)
        self.proxy.wait_for_servers()

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        self.proxy.__exit__(kind, *rest)
        for server in self.servers:
            server.stop()


def test_off(t):
    """What a Redis says that is no cluster."""
    with Two(t) as cluster, RedisServer() as plain, cluster.proxy.client() as ours, plain.client() as theirs:
        for words in ("CLUSTER SLOTS", "CLUSTER INFO", "CLUSTER NODES", "CLUSTER KEYSLOT a", "CLUSTER MYID", "CLUSTER SHARDS",
                      "CLUSTER MEET 127.0.0.1 1", "CLUSTER FAILOVER", "CLUSTER COUNTKEYSINSLOT 1", "CLUSTER REPLICAS x",
                      "ASKING", "CLUSTER", "CLUSTER LINKS", "CLUSTER NOSUCH"):
            t.equal(ours.call(*words.split()), theirs.call(*words.split()), words)
        t.check(b"cluster_enabled:0" in ours.call("INFO"), "INFO")


def test_replies(t):
    with Two(t, {"proxy.cluster_mode": True}) as cluster, cluster.proxy.client() as client, \
            RedisServer("--cluster-enabled", "yes") as real, real.client() as theirs:
        number = client.call("CLUSTER", "MYID").decode()
        t.check(re.fullmatch("[0-9a-f]{40}", number), "an id", number)
        host, port = cluster.proxy.host, cluster.proxy.port
        t.equal(client.call("CLUSTER", "SLOTS"), [[0, 16383, [host.encode(), port, number.encode(), []]]], "SLOTS")
        t.equal(client.call("CLUSTER", "NODES").decode(), "%s %s:%d@%d myself,master - 0 0 1 connected 0-16383\n" % (
            number, host, port, port + 10000), "NODES")
        shard, = client.call("CLUSTER", "SHARDS")
        t.equal(shard[:3], [b"slots", [0, 16383], b"nodes"], "SHARDS")
        node = shard[3][0]
        t.equal(dict(zip(node[::2], node[1::2])), {
            b"id": number.encode(), b"port": port, b"ip": host.encode(), b"endpoint": host.encode(), b"role": b"master",
            b"replication-offset": 0, b"health": b"online"}, "its node")
        info = dict(line.split(":") for line in client.call("CLUSTER", "INFO").decode().split())
        t.equal((info["cluster_state"], info["cluster_slots_ok"]), ("ok", "16384"), "INFO")
        rng = t.rng()
        for key in ["", "a", "{}a", "{a}b", "x{a}{b}", "{a", "}a{", "{}{a}", "123456789"] + [
                "".join(chr(rng.randrange(1, 256)) for _ in range(rng.randrange(12))) for _ in range(300)]:
            t.equal(client.call("CLUSTER", "KEYSLOT", key), theirs.call("CLUSTER", "KEYSLOT", key), "KEYSLOT %r" % key)
        t.equal(client.call("CLUSTER", "REPLICAS", number), [], "no replicas")
        t.error(client.call("CLUSTER", "REPLICAS", "x"), "ERR Unknown node x", "of another node")
        t.equal(client.call("ASKING"), "OK", "ASKING")
        t.equal(client.call("READONLY"), "OK", "READONLY")
        t.check(isinstance(client.call("CLUSTER", "MEET", "127.0.0.1", "1"), RespError), "it is not to be changed")
        text = client.call("INFO")
        t.check(b"cluster_enabled:1" in text and b"redis_mode:cluster" in text, "INFO")
        hello = client.call("HELLO")
        t.equal(hello[hello.index(b"mode") + 1], b"cluster", "HELLO")


def test_a_cluster_client(t):
    with Two(t, {"proxy.cluster_mode": True}) as cluster:
        client = RedisCluster(host=cluster.proxy.host, port=cluster.proxy.port)
        keys = ["key%d" % number for number in range(200)]
        for key in keys:
            client.set(key, key)
        t.equal([client.get(key).decode() for key in keys], keys, "SET and GET")
        t.equal(client.mget_nonatomic(*keys), [key.encode() for key in keys], "MGET")
        client.mset_nonatomic({"a": 1, "b": 2})
        t.equal(client.delete("a", "b", "c"), 2, "DEL")
        pipe = client.pipeline()
        for key in keys:
            pipe.get(key)
        t.equal(pipe.execute(), [key.encode() for key in keys], "a pipeline")
        t.equal(client.dbsize(), 200, "DBSIZE")
        t.equal(len(list(client.scan_iter(count=50))), 200, "SCAN")
        t.equal(client.cluster_info()["cluster_state"], "ok", "CLUSTER INFO as the library reads it")
        t.equal(len(client.cluster_nodes()), 1, "CLUSTER NODES, too")
        t.equal(client.keyslot("key1"), client.cluster_keyslot("key1"), "CLUSTER KEYSLOT, too")
        t.check(all(server.client().call("DBSIZE") > 0 for server in cluster.servers), "the keys lie with both servers")
        client.close()
        reader = RedisCluster(host=cluster.proxy.host, port=cluster.proxy.port, read_from_replicas=True)
        t.equal(reader.get(keys[0]), keys[0].encode(), "with reads from replicas")
        reader.close()


def test_announce(t):
    with Two(t, {"proxy.cluster_mode": True, "proxy.announce": "proxy.example:7777"}) as cluster, \
            cluster.proxy.client() as client:
        t.equal(client.call("CLUSTER", "SLOTS")[0][2][:2], [b"proxy.example", 7777], "the address that is set")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
