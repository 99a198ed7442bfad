#!/usr/bin/python3
"""What codis-proxy answers beyond Redis' commands is answered alike. The expected replies are those that a
codis-proxy 3.2 gave to the same requests."""

import sys

from checks import run_tests, slot_of
from fake_server import FakeServer
from servers import PikaProxy


def test_replies(t):
    scanned = b"*2\r\n$1\r\n7\r\n*1\r\n$1\r\na\r\n"
    servers = []

    def behave(server):
        def answer(_, args):
            if args[0].upper() == b"SLOTSSCAN":
                return scanned if args[2:] == [b"0"] else b"-ERR invalid cursor\r\n"
            if args[0].upper() == b"SLOTSINFO":
                return b"*1\r\n*2\r\n:579\r\n:1\r\n" if args[1:] == [] else b"-ERR what is that\r\n"
            return server.healthy(args)
        return answer

    for _ in range(2):
        server = FakeServer()
        server.behave = behave(server)
        servers.append(server)
    replica = "127.0.0.1:1"
    groups = [{"server": servers[0].address, "slots": "0-511"},
              {"server": servers[1].address, "slots": "512-1019", "replicas": [replica]}]
    with servers[0], servers[1], PikaProxy(t.pikaproxy, groups, {"proxy.workers": 1}) as proxy, proxy.client() as client:
        t.equal(client.call("SLOTSHASHKEY", "a", "b", "{a}x", "x{}y"), [579, 1017, 579, slot_of("x{}y")], "SLOTSHASHKEY")
        t.equal(client.call("SLOTSHASHKEY"), [], "of nothing")
        first, second = [server.address for server in servers]
        t.equal(client.call("SLOTSMAPPING", 0), ["0", first, "", None], "SLOTSMAPPING of a slot")
        t.equal(client.call("SLOTSMAPPING", "600"), ["600", second, "", [[replica]]], "of one with a replica")
        t.equal(client.call("SLOTSMAPPING", 1023), ["1023", "", "", None], "of one that nobody serves")
        everything = client.call("SLOTSMAPPING")
        t.equal([int(slot[0]) for slot in everything], list(range(1024)), "of all slots")
        t.equal([slot[1] for slot in everything], [first] * 512 + [second] * 508 + [""] * 4, "with their servers")
        t.equal(client.call("SLOTSINFO", second), [[579, 1]], "SLOTSINFO of a server")
        t.check([b"SLOTSINFO"] in servers[1].seen and [b"SLOTSINFO"] not in servers[0].seen, "just that one is asked")
        t.equal(client.call("SLOTSSCAN", 579, 0), [b"7", [b"a"]], "SLOTSSCAN")
        t.check([b"SLOTSSCAN", b"579", b"0"] in servers[1].seen, "goes to the slot's server as it is")
        for request, error in ((["SLOTSINFO", "x"], "ERR backend server 'x' not found$"),
                               (["SLOTSINFO"], "ERR wrong number of arguments"),
                               (["SLOTSINFO", second, "1"], "ERR wrong number of arguments"),
                               (["SLOTSSCAN", "579"], "ERR wrong number of arguments"),
                               (["SLOTSSCAN", "x", "0"], "ERR parse slotnum 'x' failed, "),
                               (["SLOTSSCAN", "2000", "0"], "ERR parse slotnum '2000' failed, out of range$"),
                               (["SLOTSSCAN", "-1", "0"], "ERR parse slotnum '-1' failed, out of range$"),
                               (["SLOTSSCAN", "579", "x"], "ERR invalid cursor$"),
                               (["SLOTSSCAN", "1023", "0"], "CLUSTERDOWN slot 1023 is not assigned"),
                               (["SLOTSMAPPING", "x"], "ERR parse slotnum 'x' failed, "),
                               (["SLOTSMAPPING", "1024"], "ERR parse slotnum '1024' failed, out of range$"),
                               (["SLOTSMAPPING", "1", "2"], "ERR wrong number of arguments")):
            t.error(client.call(*request), error, " ".join(request))
        replies = client.call_many([["SET", "k", "v"], ["SLOTSSCAN", 579, 0], ["SLOTSHASHKEY", "a"], ["GET", "k"]])
        t.equal(replies, ["OK", [b"7", [b"a"]], [579], b"v"], "in their order in a pipeline")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
