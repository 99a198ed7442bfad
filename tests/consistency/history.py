"""What clients did: operations on objects, and how they are kept and printed.

An object is what one model describes: a key, or a few keys with one hash tag. Its history is the list of
operations on it by all clients, in the order in which they were sent.
"""

import json

OPEN = "open"        # Sent, not answered yet.
OK = "ok"            # Answered: it was executed between inv and ret.
FAIL = "fail"        # Answered with an error that says that it was not executed.
UNKNOWN = "unknown"  # It was executed at some moment after inv, or never will be.


class Op:
    """One operation.

    inv, ret: seconds of the monotonic clock before it was sent and after its answer was read.
    args: what the model needs to know, ("SET", b"12"); times in it are of the same clock.
    result: the reply as normalised by the model's kind; None while unknown.
    after: an earlier operation of the same connection on the same object that was not answered when this one was
        sent: the proxy promises to keep their order.
    note: the error text of one that failed or is unknown.
    """

    __slots__ = ("client", "inv", "ret", "args", "result", "status", "after", "note")

    def __init__(self, client, inv, args, after=None):
        self.client = client
        self.inv = inv
        self.ret = None
        self.args = args
        self.result = None
        self.status = OPEN
        self.after = after
        self.note = ""

    def answered(self, ret, result):
        self.ret = ret
        self.result = result
        self.status = OK

    def failed(self, ret, note):
        self.ret = ret
        self.status = FAIL
        self.note = note

    def lost(self, ret, note):
        """`ret` is only when we gave it up; it may be executed later still."""
        self.ret = ret
        self.status = UNKNOWN
        self.note = note

    def line(self, origin):
        """For people: times in milliseconds since `origin`."""
        end = "        ..." if self.ret is None or self.status == UNKNOWN else "%11.1f" % (1e3 * (self.ret - origin))
        outcome = {OK: "-> " + short(self.result), FAIL: "not executed: " + self.note,
                   UNKNOWN: "unknown: " + self.note, OPEN: "never answered"}[self.status]
        order = "" if self.after is None else "  (pipelined behind the one of %.1f)" % (
            1e3 * (self.after.inv - origin))
        return "%11.1f %s  client %-3s %-40s %s%s" % (
            1e3 * (self.inv - origin), end, self.client, " ".join(short(arg) for arg in self.args), outcome, order)


def short(value):
    """A value as people want to read it, on one line."""
    if isinstance(value, bytes):
        text = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, (list, tuple, frozenset, set)):
        items = sorted(value, key=repr) if isinstance(value, (frozenset, set)) else value
        text = "[%s]" % " ".join(short(item) for item in items)
    elif isinstance(value, float):
        text = repr(value)
    else:
        text = "nil" if value is None else str(value)
    return text if len(text) <= 300 else "%s...(%d characters)" % (text[:300], len(text))


def to_json(value):
    """Bytes become {"b": text}, tuples and lists arrays."""
    if isinstance(value, bytes):
        return {"b": value.decode("latin-1")}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def from_json(value):
    if isinstance(value, dict):
        return value["b"].encode("latin-1")
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    return value


def write_history(path, kind, name, ops):
    """One object's history: a line about the object, then one for each operation."""
    index = {id(op): number for number, op in enumerate(ops)}
    with open(path, "w", encoding="ascii") as file:
        file.write(json.dumps({"kind": kind, "object": name}) + "\n")
        for op in ops:
            file.write(json.dumps([op.client, op.inv, op.ret, to_json(op.args), to_json(op.result), op.status,
                                   index.get(id(op.after)) if op.after is not None else None, op.note]) + "\n")


def read_history(path):
    """(kind, name, operations)"""
    with open(path, encoding="ascii") as file:
        head = json.loads(file.readline())
        ops = []
        for line in file:
            client, inv, ret, args, result, status, after, note = json.loads(line)
            op = Op(client, inv, from_json(args), None if after is None else ops[after])
            op.ret, op.result, op.status, op.note = ret, from_json(result), status, note
            ops.append(op)
    return head["kind"], head["object"], ops
