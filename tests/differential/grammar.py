"""Reads grammar.txt and makes requests from it."""

import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENS = re.compile(r"\.\.\.|[\[\]()|]|[^\s\[\]()|.]+(?:\.[^\s\[\]()|.]+)*")
OPTION_PROBABILITY = 0.35


class Rule:
    """One line: a command and the grammar of its arguments. family: the section's name."""

    def __init__(self, line, family):
        self.family = family
        self.text = line
        tokens = TOKENS.findall(line)
        self._sequence, rest = _parse(tokens, 0)
        if rest != len(tokens):
            raise ValueError("unbalanced brackets: " + line)
        words = re.findall(r"[^\s\[\]()|]+", line)
        self.name = words[0].lower()
        self.second_word = words[1].lower() if len(words) > 1 and re.fullmatch(r"[A-Z][A-Z-]+", words[1]) else None
        # Arguments that a server would wait for.
        self.waits = "timeout" in words or "blockms" in words
        self.counts_down = "smallint" in words
        self.keys_at_least = words.count("key") + 2 * sum(
            words.count(several) for several in ("key...", "numkeys", "streams", "groupstreams", "sortby", "sortget"))
        if "(key value)..." in line:
            self.keys_at_least += 1

    def make(self, arguments):
        return _expand(self._sequence, arguments)


def _parse(tokens, at):
    """A list of alternatives, each a list of items, up to a closing bracket; and the position behind."""
    alternatives = [[]]
    while at < len(tokens) and tokens[at] not in "])":
        token = tokens[at]
        at += 1
        if token == "|":
            alternatives.append([])
        elif token == "...":
            alternatives[-1][-1] = ("repeat", alternatives[-1][-1])
        elif token in "[(":
            inner, at = _parse(tokens, at)
            alternatives[-1].append(("option" if token == "[" else "one", inner))
            at += 1
        else:
            alternatives[-1].append(("made" if token[0].islower() else "literal", token))
    return alternatives, at


def _expand(alternatives, arguments):
    return [word for item in arguments.rng.choice(alternatives) for word in _expand_item(item, arguments)]


def _expand_item(item, arguments):
    kind, what = item
    rng = arguments.rng
    if kind == "literal":
        return [what.encode()]
    if kind == "made":
        return arguments.make(what)
    if kind == "repeat":
        return [word for _ in range(rng.choice((1, 1, 2, 3, 5))) for word in _expand_item(what, arguments)]
    if kind == "option" and rng.random() > OPTION_PROBABILITY:
        return []
    return _expand(what, arguments)


def read_grammar(path=os.path.join(HERE, "grammar.txt")):
    rules = []
    family = None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.strip()
            if line.startswith("== "):
                family = line[3:]
            elif line and not line.startswith("#"):
                rules.append(Rule(line, family))
    return rules
