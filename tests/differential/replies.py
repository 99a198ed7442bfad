"""Takes streams of RESP2 and RESP3 replies apart."""

AGGREGATES = {0x2a: 1, 0x7e: 1, 0x3e: 1, 0x25: 2}  # * ~ > and, with two items each, %
BULKS = b"$!="


class Incomplete(Exception):
    """The stream ends within a reply."""


def split(raw):
    """The replies in `raw`, each as it came."""
    found = []
    at = 0
    while at < len(raw):
        end = _skip(raw, at)
        found.append(raw[at:end])
        at = end
    return found


def _line(raw, at):
    end = raw.find(b"\r\n", at)
    if end < 0:
        raise Incomplete("no end of line in %r" % raw[at:at + 60])
    return end


def _skip(raw, at):
    missing = 1
    while missing > 0:
        end = _line(raw, at)
        kind = raw[at]
        missing -= 1
        if kind in BULKS:
            size = int(raw[at + 1:end])
            end += size + 2 if size >= 0 else 0
            if end + 2 > len(raw):
                raise Incomplete("a bulk string of %d bytes is cut off" % size)
        elif kind in AGGREGATES:
            missing += max(0, int(raw[at + 1:end])) * AGGREGATES[kind]
        elif kind == 0x7c:  # Attributes stand before the reply that they describe.
            missing += 2 * int(raw[at + 1:end]) + 1
        elif kind not in b"+-:_#,(":
            raise ValueError("no reply begins with %r" % raw[at:at + 20])
        at = end + 2
    return at


def parse(raw):
    """(kind, value) of one reply: value is bytes, None, or a list of such pairs; those of a map in their order."""
    tree, _ = _parse(raw, 0)
    return tree


def _parse(raw, at):
    end = _line(raw, at)
    kind = raw[at:at + 1]
    text = raw[at + 1:end]
    at = end + 2
    if kind[0] in BULKS:
        size = int(text)
        return ((kind, None), at) if size < 0 else ((kind, raw[at:at + size]), at + size + 2)
    if kind[0] not in AGGREGATES:
        return (kind, text), at
    if int(text) < 0:
        return (kind, None), at
    items = []
    for _ in range(int(text) * AGGREGATES[kind[0]]):
        item, at = _parse(raw, at)
        items.append(item)
    return (kind, items), at
