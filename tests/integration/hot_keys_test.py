#!/usr/bin/env python3
"""The keys that are used most, as the API tells them.

    hot_keys_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]
"""

import base64
import os
import sys
import tempfile

from admin_api import AdminApi
from checks import pipeline, run_tests, slot_of
from resp import encode
from servers import PikaProxy, RedisServer

REQUESTS = 64 * 400


def test_hot_keys(t):
    rng = t.rng()
    with tempfile.TemporaryDirectory(prefix="pikaproxy-hot-") as directory, RedisServer() as server, \
            PikaProxy(t.pikaproxy, [], {"dashboard.data_dir": os.path.join(directory, "data")}) as proxy:
        api = AdminApi("http://127.0.0.1:%d" % proxy.admin_port)
        with open(os.path.join(directory, "data", "admin-password"), encoding="utf-8") as file:
            api.log_in("admin", file.readline().strip())
        group = api.add_group([server.address])
        api.assign(0, 1023, group)
        t.equal(api.get("/proxies/local/hotkeys"), {"hotkeys": []}, "nothing is hot at first")
        binary = b"\xff\x00binary"
        long = "long:" + "x" * 500
        requests = []
        for number in range(REQUESTS):
            kind = rng.random()
            if kind < 0.4:
                requests.append(encode("GET", "hot"))
            elif kind < 0.6:
                requests.append(encode("SET", binary, "v"))
            elif kind < 0.7:
                requests.append(encode("MGET", long, "other%d" % number))
            else:
                requests.append(encode("GET", "cold%d" % number))
        with proxy.client(timeout=60) as client:
            pipeline(client, b"".join(requests), len(requests))
        keys = api.get("/proxies/local/hotkeys")["hotkeys"]
        first, second = keys[0], keys[1]
        t.equal((first["key"], first["key_base64"], first["key_bytes"], first["slot"], first["group"]),
                ("hot", None, 3, slot_of("hot"), group), "the hottest key")
        t.equal((second["key"], second["key_base64"], second["slot"]),
                (None, base64.b64encode(binary).decode(), slot_of(binary)), "a key that is no text")
        t.check(1 < first["ops_per_second"] / second["ops_per_second"] < 4, "their rates", first, second)
        found = [one for one in keys if one["key"] == long[:100]]
        t.equal([one["key_bytes"] for one in found], [len(long)], "of a long key the beginning is told")
        t.check(all(one["key"] is None or not one["key"].startswith("cold") for one in keys), "no cold one", keys)
        t.equal(len(api.get("/proxies/local/hotkeys?limit=1")["hotkeys"]), 1, "as many as were asked for")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
