"""A client's request, and what an error says about it."""

import re

# What an error says about whether the request was executed. Everything else is an error nobody expects here.
NOT_EXECUTED = re.compile(r"TRYAGAIN|CLUSTERDOWN|LOADING|EXECABORT|.*is not reachable|"
                          r".*too many (requests|bytes) waiting", re.S)
EXECUTED_OR_NOT = re.compile(r".*may or may not have been executed|OOM ", re.S)


class Wrong(Exception):
    """Something that must never happen, for people."""


class Request:
    """`done(reply, moment)` gets the reply, `lost(moment, note)` is told that there will be none."""

    __slots__ = ("words", "done", "lost", "sent")

    def __init__(self, words, done, lost):
        self.words = words
        self.done = done
        self.lost = lost
        self.sent = 0.0


def encode(words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)
