"""Regular expressions that clients give, matched in bounded time: all ways through a pattern are followed at once.

Python's own matcher goes back over every way to split a text between repetitions, which for `(a|aa)+$` or `a*a*a*a*$`
takes longer than anybody waits, and nothing can interrupt it. Here each character is looked at once, whatever the
pattern (https://swtch.com/~rsc/regexp/regexp1.html). Python parses the pattern and says what one character or
anchor matches, so that only the search is ours. Looks ahead count among the steps that one
match may take; references to groups, looks behind and atomic groups are refused.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable
from typing import Any

_parser: Any = importlib.import_module("re._parser")
_compiler: Any = importlib.import_module("re._compiler")
_codes: Any = importlib.import_module("re._constants")

#: Steps of a program: `(a{100}){100}` would have ten thousand.
LONGEST_PROGRAM = 4_000
#: Steps that one match may take beside those that are known from before: about half a second.
MOST_STEPS = 300_000
#: Steps in all remembered sets together.
_REMEMBERED = 100_000

_ONE = frozenset((_codes.LITERAL, _codes.NOT_LITERAL, _codes.ANY, _codes.IN))
_LOOKS = frozenset((_codes.ASSERT, _codes.ASSERT_NOT))
_REPEATS = frozenset((_codes.MAX_REPEAT, _codes.MIN_REPEAT))

States = frozenset[int]


class _Budget:
    """What is left of MOST_STEPS, for a match and all looks ahead in it."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_STEPS


#: Does it hold at this place of the text?
Test = Callable[[str, int, _Budget], bool]


class TooHard(ValueError):
    """A sentence without an end: what cannot be matched in bounded time."""


class Expression:
    """Raises re.error for what is no expression, TooHard for one that this matcher does not follow."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        try:
            parsed = _parser.parse(pattern, flags)
            program = _Program(parsed.state)
            program.add(parsed, parsed.state.flags)
        except RecursionError:
            raise TooHard("it is nested too deeply") from None
        self._take(program)

    @classmethod
    def of(cls, program: _Program) -> Expression:
        made = cls.__new__(cls)
        made._take(program)
        return made

    def _take(self, program: _Program) -> None:
        self._end = len(program.ones)
        self._ones, self._jumps, self._tests = program.ones, program.jumps, program.tests
        self._looks_ahead = program.looks_ahead
        #: What is known: states before anchors and the anchors that hold → states; states and a character → states.
        self._closed: dict[tuple[States, tuple[bool, ...]], States] = {}
        self._next: dict[tuple[States, str], States] = {}
        self._remembered = 0

    def fullmatch(self, text: str) -> bool:
        """False, too, where it takes more than MOST_STEPS."""
        return self._run(text, 0, _Budget(), anchored=True, whole=True)

    def search(self, text: str) -> bool:
        """As `fullmatch`."""
        return self._run(text, 0, _Budget(), anchored=False, whole=False)

    def stands_at(self, text: str, start: int, budget: _Budget) -> bool:
        return self._run(text, start, budget, anchored=True, whole=False)

    def _run(self, text: str, start: int, budget: _Budget, *, anchored: bool, whole: bool) -> bool:
        first = waiting = frozenset((0,))
        for at in range(start, len(text) + 1):
            states = self._states(text, at, waiting, budget)
            if budget.left < 0:
                return False
            if self._end in states and (not whole or at == len(text)):
                return True
            if at == len(text) or (anchored and not states):
                return False
            following = self._next.get((states, text[at]))
            if following is None:
                following = self._step(states, text[at])
                budget.left -= len(states)
            waiting = following if anchored else following | first
            # Looks ahead are begun anew at each place.
            budget.left -= start > 0
        return False

    def _states(self, text: str, at: int, waiting: States, budget: _Budget) -> States:
        """Where one is at this place without another character."""
        if self._looks_ahead:
            states = self._close(waiting, lambda test: self._tests[test](text, at, budget))
            budget.left -= len(states) + 1
            return states
        held = tuple([test(text, at, budget) for test in self._tests])
        known = self._closed.get((waiting, held))
        if known is None:
            known = self._closed[waiting, held] = self._close(waiting, held.__getitem__)
            self._make_room(len(known) + len(waiting))
            budget.left -= len(known) + 1
        return known

    def _close(self, waiting: States, holds: Callable[[int], bool]) -> States:
        seen, ahead = set(waiting), list(waiting)
        while ahead:
            at = ahead.pop()
            for target, test in self._jumps.get(at, ()):
                if target not in seen and (test is None or holds(test)):
                    seen.add(target)
                    ahead.append(target)
        return frozenset(at for at in seen if at == self._end or self._ones[at] is not None)

    def _step(self, states: States, char: str) -> States:
        following = frozenset(
            at + 1 for at in states if at != self._end and (one := self._ones[at]) is not None and one.match(char)
        )
        self._make_room(len(states) + len(following))
        self._next[states, char] = following
        return following

    def _make_room(self, size: int) -> None:
        if self._remembered > _REMEMBERED:
            self._closed.clear()
            self._next.clear()
            self._remembered = 0
        self._remembered += size + 1


class _Program:
    """Steps one after another: each takes a character that `ones` describes, or jumps."""

    def __init__(self, state: Any) -> None:
        self._state = state
        #: What a step takes; None: nothing, it only jumps.
        self.ones: list[re.Pattern[str] | None] = []
        #: From a step to others: at once, or where the test of this number holds.
        self.jumps: dict[int, list[tuple[int, int | None]]] = {}
        self.tests: list[Test] = []
        self.looks_ahead = False

    def add(self, parsed: Iterable[tuple[Any, Any]], flags: int) -> None:
        for code, value in parsed:
            self._add(code, value, flags)

    def _add(self, code: Any, value: Any, flags: int) -> None:
        if code in _ONE:
            self._append(self._compiled(code, value, flags))
        elif code is _codes.AT:
            anchor = self._compiled(code, value, flags)
            self._require(lambda text, at, _budget: anchor.match(text, at) is not None)
        elif code in _LOOKS and value[0] > 0:
            self._look_ahead(value[1], flags, wanted=code is _codes.ASSERT)
        elif code is _codes.SUBPATTERN:
            _group, added, removed, inner = value
            self.add(inner, (flags | added) & ~removed)
        elif code is _codes.BRANCH:
            self._branch(value[1], flags)
        elif code in _REPEATS:
            least, most, inner = value
            self._repeat(least, most, inner, flags)
        else:
            raise TooHard(f"{str(code).lower().replace('_', ' ')} takes more than one look at a text")

    def _compiled(self, code: Any, value: Any, flags: int) -> re.Pattern[str]:
        compiled: re.Pattern[str] = _compiler.compile(_parser.SubPattern(self._state, [(code, value)]), flags)
        return compiled

    def _append(self, one: re.Pattern[str] | None = None) -> int:
        if len(self.ones) >= LONGEST_PROGRAM:
            raise TooHard(f"it comes to more than {LONGEST_PROGRAM} steps")
        self.ones.append(one)
        return len(self.ones) - 1

    def _jump(self, start: int, target: int, test: int | None = None) -> None:
        self.jumps.setdefault(start, []).append((target, test))

    def _require(self, test: Test) -> None:
        here = self._append()
        self.tests.append(test)
        self._jump(here, here + 1, len(self.tests) - 1)

    def _look_ahead(self, inner: Any, flags: int, *, wanted: bool) -> None:
        program = _Program(self._state)
        program.add(inner, flags)
        ahead = Expression.of(program)
        self.looks_ahead = True
        self._require(lambda text, at, budget: ahead.stands_at(text, at, budget) is wanted)

    def _branch(self, alternatives: Iterable[Any], flags: int) -> None:
        fork = self._append()
        ends = []
        for alternative in alternatives:
            self._jump(fork, len(self.ones))
            self.add(alternative, flags)
            ends.append(self._append())
        for end in ends:
            self._jump(end, len(self.ones))

    def _repeat(self, least: int, most: Any, inner: Any, flags: int) -> None:
        for _ in range(least):
            before = len(self.ones)
            self.add(inner, flags)
            if len(self.ones) == before:
                # Nothing, however often.
                break
        if most is _codes.MAXREPEAT:
            fork = self._append()
            self._jump(fork, fork + 1)
            self.add(inner, flags)
            self._jump(self._append(), fork)
            self._jump(fork, len(self.ones))
            return
        forks = []
        for _ in range(most - least):
            forks.append(self._append())
            self._jump(forks[-1], len(self.ones))
            self.add(inner, flags)
        for fork in forks:
            self._jump(fork, len(self.ones))
