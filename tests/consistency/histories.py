"""Checks histories in a process of its own, while the run goes on."""

import multiprocessing
import os
import traceback

from checker import Undecided, explain, is_linearizable
from history import Op, write_history


def pack(one):
    """An object's history as plain tuples: quick to send, and nothing of the workload hangs on it."""
    index = {id(op): number for number, op in enumerate(one.ops)}
    return (one.kind, one.name, [(op.client, op.inv, op.ret, op.args, op.result, op.status,
                                  index.get(id(op.after)), op.note) for op in one.ops])


def unpack(packed):
    kind, name, rows = packed
    ops = []
    for client, inv, ret, args, result, status, after, note in rows:
        op = Op(client, inv, args, None if after is None else ops[after])
        op.ret, op.result, op.status, op.note = ret, result, status, note
        ops.append(op)
    return kind, name, ops


class Histories:
    """`directory` takes those that are wrong."""

    def __init__(self, directory, origin):
        self.directory = directory
        self.origin = origin
        self.shipped = self.checked = self.operations = self.undecided = 0
        self.found = []
        self._inbox = multiprocessing.Queue()
        self._results, results = multiprocessing.Pipe(duplex=False)
        self._process = multiprocessing.Process(target=self._run, args=(results,), daemon=True)
        self._process.start()
        results.close()

    def ship(self, one):
        self.shipped += 1
        self._inbox.put(pack(one))

    def collect(self):
        """Takes what has been checked; returns explanations of what is wrong."""
        while self._results.poll():
            operations, verdict, text = self._results.recv()
            self.checked += 1
            self.operations += operations
            if verdict == "undecided":
                self.undecided += 1
            if verdict == "wrong":
                self.found.append(text)
        return self.found

    def finish(self):
        """Waits until everything has been checked."""
        while self.checked < self.shipped:
            if not self._results.poll(600):
                raise TimeoutError("the checker is not done")
            self.collect()
        self._inbox.put(None)
        self._process.join(10)
        return self.found

    def _run(self, results):
        while True:
            packed = self._inbox.get()
            if packed is None:
                return
            kind, name, ops = unpack(packed)
            verdict, text = "right", ""
            try:
                if not is_linearizable(kind, ops):
                    path = os.path.join(self.directory, "%s.history" % name.replace(":", "-"))
                    write_history(path, kind, name, ops)
                    verdict, text = "wrong", explain(kind, name, ops, self.origin) + "\nAll of it: %s" % path
            except Undecided:
                verdict = "undecided"
            except Exception:  # A broken checker must not look like a good run.
                verdict, text = "wrong", "%s: the checker failed: %s" % (name, traceback.format_exc())
            results.send((len(ops), verdict, text))
