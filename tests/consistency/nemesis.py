"""What goes wrong, at random: one misfortune after the other, undone after a while."""

import random
import signal
import time

SHORT_S = (0.05, 0.6)   # Below the time-outs.
LONG_S = (1.3, 3.0)     # Above most.
LONGER_S = (5.2, 7.5)   # Above all: an engine waits so long for a command.


class Nemesis:
    """faults: names of FAULTS. note(text) is told everything that happens. Runs in a thread of its own."""

    def __init__(self, cluster, rng, faults, note, stop, paused=lambda: None):
        self.cluster = cluster
        self.rng = random.Random(rng.getrandbits(64))
        self.faults = faults
        self.note = note
        self.stop = stop
        self.paused = paused
        self.did = {}
        self.windows = []  # (begin, end) of each fault.

    def run(self):
        while not self.stop.wait(self.rng.uniform(0.1, 1.5)):
            name = self.rng.choice(self.faults)
            begin = time.monotonic()
            # Not a known end before it is there.
            self.windows.append((begin, float("inf")))
            FAULTS[name](self)
            self.windows[-1] = (begin, time.monotonic())
            self.did[name] = self.did.get(name, 0) + 1
        return self.did

    def server(self):
        return self.rng.choice(self.cluster.servers)

    def wait(self, bounds):
        if bounds == LONG_S and self.rng.random() < 0.2:
            bounds = LONGER_S
        self.stop.wait(self.rng.uniform(*bounds))

    def stop_server(self, bounds=SHORT_S):
        server = self.server()
        self.note("server %d stops" % server.number)
        server.hang()
        self.wait(bounds)
        server.go_on()
        self.note("server %d goes on" % server.number)

    def stop_server_long(self):
        self.stop_server(LONG_S)

    def kill_server(self):
        server = self.server()
        self.note("server %d is killed" % server.number)
        server.kill()
        self.wait((0.0, 1.5))
        server.start()
        server.wait()
        self.note("server %d is back" % server.number)

    def kinds(self):
        return self.rng.choice((("proxy", "mover", "migrate"), ("proxy",), ("mover",), ("migrate",)))

    def cut_link(self):
        server, kinds = self.server(), self.kinds()
        cut = self.cluster.relay.tell("cut", server.number, kinds)
        self.note("%d links to server %d are cut: %s" % (cut["cut"], server.number, " ".join(kinds)))

    def way_to_hang(self):
        """Connections that are there may hang while new ones work: TCP waits longer and longer before it sends again
        what was lost."""
        return self.rng.choice(("hang", "hang existing"))

    def hang_link_short(self):
        """Requests are under way for longer than it takes to lock slots, and are answered."""
        server = self.server()
        self.note("links of the proxy to server %d hang for a moment" % server.number)
        self.cluster.relay.tell("hang existing", server.number, ("proxy",))
        self.wait(SHORT_S)
        self.cluster.relay.tell("heal", server.number)

    def hang_mover(self):
        """What the engine sends is given up, done again, and then it arrives."""
        server = self.server()
        self.note("links of the engine to server %d hang" % server.number)
        self.cluster.relay.tell("hang existing", server.number, ("mover", "migrate"))
        self.wait((7.0, 12.0))
        self.cluster.relay.tell("heal", server.number)
        self.note("links of the engine to server %d are well" % server.number)

    def hang_link(self, bounds=LONG_S):
        server, kinds, hang = self.server(), self.kinds(), self.way_to_hang()
        self.note("links to server %d %s: %s" % (server.number, hang, " ".join(kinds)))
        self.cluster.relay.tell(hang, server.number, kinds)
        self.wait(bounds)
        if self.rng.random() < 0.3:
            self.cluster.relay.tell("cut", server.number, kinds)
        self.cluster.relay.tell("heal", server.number)
        self.note("links to server %d are well" % server.number)

    def kill_proxy(self):
        proxy = self.cluster.proxy
        self.note("the proxy is killed")
        proxy.process.kill()
        self.wait((0.0, 0.5))
        proxy.start()
        proxy.wait()
        self.note("the proxy is back")

    def kill_proxy_behind_hung_link(self):
        """What it has sent arrives when its successor serves already."""
        server, hang = self.server(), self.way_to_hang()
        self.note("links to server %d %s, then the proxy is killed" % (server.number, hang))
        self.cluster.relay.tell(hang, server.number, ("proxy", "mover", "migrate"))
        self.wait((0.1, 0.6))
        self.kill_proxy()
        self.wait((0.0, 6.0))
        self.cluster.relay.tell("heal", server.number)
        self.note("links to server %d are well" % server.number)

    def stop_proxy(self):
        self.note("the proxy stops")
        self.cluster.proxy.process.send_signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.1, 2.0))
        self.cluster.proxy.process.send_signal(signal.SIGCONT)
        self.paused()
        self.note("the proxy goes on")

    def restart_proxy(self):
        proxy = self.cluster.proxy
        self.note("the proxy is asked to end")
        proxy.process.send_signal(signal.SIGTERM)
        code = proxy.process.process.wait(30)
        if code != 0:
            raise RuntimeError("pikaproxy ended with %s: %s" % (code, proxy.process.log()[-3000:]))
        proxy.start()
        proxy.wait()
        self.note("the proxy is back")


FAULTS = {
    "stop-server": Nemesis.stop_server,
    "stop-server-long": Nemesis.stop_server_long,
    "kill-server": Nemesis.kill_server,
    "cut-link": Nemesis.cut_link,
    "hang-link": Nemesis.hang_link,
    "hang-link-short": Nemesis.hang_link_short,
    "hang-mover": Nemesis.hang_mover,
    "kill-proxy": Nemesis.kill_proxy,
    "kill-proxy-behind-hung-link": Nemesis.kill_proxy_behind_hung_link,
    "stop-proxy": Nemesis.stop_proxy,
    "restart-proxy": Nemesis.restart_proxy,
}
