"""Transactions of clients: MULTI and EXEC, alone and with WATCH as a compare-and-set.

A program is a generator: it yields the batches that its client sends, (requests, operations that begin with them),
each when the one before has been answered. It ends with its connection.
"""

import hiredis

from history import OK
from objects import changed, whole
from request import Request, Wrong


class Plain:
    """A request whose reply is kept: None until then, and when it is lost."""

    def __init__(self, *words):
        self.reply = None
        self.request = Request(words, self._done, lambda moment, note: None)

    def _done(self, reply, _):
        self.reply = reply


def watched_change(workload, client, one):
    """Reads an object under WATCH; writes it if nobody else has done so meanwhile."""
    one.inflight += 1  # Its history is not complete before this has come to its end.
    try:
        watch = Plain(b"WATCH", *one.keys)
        words, args, result_of = whole(one)
        read, (seen,) = workload.request(client, one, words, args, result_of)
        yield [watch.request, read], [seen]
        # Where either failed nothing may be concluded from what was read.
        if watch.reply != b"OK" or seen.status != OK:
            yield [Plain(b"UNWATCH").request], []
            return
        commands, args, result_of = changed(one, seen.result, workload.rng, next(workload.numbers))
        yield transaction(workload, client, one, commands, args, result_of, is_watched=True)
    finally:
        one.inflight -= 1


def transaction(workload, client, one, commands, args, result_of, is_watched=False):
    """MULTI, the commands and EXEC: one operation, all of it or nothing."""
    op = workload.new_op(client, one, args)
    words = (b"EXEC", one.key)

    def done(reply, moment):
        if reply is None and is_watched:
            # Nothing has happened. It may be said without need, as where the slot has moved.
            one.inflight -= 1
            workload.counts["nil"] += 1
            op.failed(moment, "EXEC answered nil")
            return
        if isinstance(reply, list):
            workload.counts["transactions"] += 1
            errors = [part for part in reply if isinstance(part, hiredis.ReplyError)]
            if len(reply) != len(commands) or errors:
                raise Wrong("%s: EXEC of %r got %r" % (one.name, commands, reply))
        workload.take_reply(words, one, op, result_of, reply, moment)

    def lost(moment, note):
        workload.lose_reply(one, op, moment, note)

    requests = [Plain(b"MULTI").request, *(Plain(*command).request for command in commands),
                Request((b"EXEC",), done, lost)]
    return requests, [op]
