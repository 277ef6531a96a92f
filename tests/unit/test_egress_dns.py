"""The resolver of sandboxes passes on ordinary questions, and no sandbox's many keep it from the others'."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest

from lambent.sandbox.egress_dns import Resolvers, Shares, failure, is_question

NAME = b"\x07example\x03com\x00"


def question(kind: int = 1, flags: int = 0x100, count: int = 1, name: bytes = NAME, more: bytes = b"") -> bytes:
    return struct.pack(">HHHHHH", 7, flags, count, 0, 0, 0) + name + struct.pack(">HH", kind, 1) + more


@pytest.mark.parametrize("kind", [1, 5, 12, 15, 16, 28, 33, 65])
def test_ordinary_questions_are_passed_on(kind: int) -> None:
    assert is_question(question(kind))
    assert is_question(question(kind, more=b"\0\0\x29\x10\0\0\0\0\0\0\0"))
    assert is_question(question(kind, name=b"\0"))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        question()[:12],
        question()[:-1],
        question(flags=0x8100),
        question(flags=0x2800),
        question(flags=0x1000),
        question(count=0),
        question(count=2),
        question(252),
        question(251),
        question(name=b"\xc0\x0c"),
        question(name=b"\x40" + b"a" * 64 + b"\0"),
        question(name=b"\x3f" * 3),
        question(more=bytes(5000)),
    ],
    ids=str,
)
def test_all_else_is_dropped(message: bytes) -> None:
    assert not is_question(message)


def test_a_failure_answers_the_question_that_was_asked() -> None:
    number, flags = struct.unpack_from(">HH", failure(question()))
    assert number == 7
    assert flags & 0x8000
    assert flags & 0xF == 2


def test_nobody_takes_more_than_a_share_and_all_no_more_than_there_is() -> None:
    shares = Shares(2, 3)
    assert [shares.take("a") for _ in range(3)] == [True, True, False]
    assert [shares.take("b") for _ in range(2)] == [True, False]
    shares.give_back("a")
    assert shares.take("b")


def test_resolvers_are_those_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# one\nnameserver 10.0.0.53\nnameserver nonsense\nnameserver fd00::53\nsearch example\n")
    resolvers = Resolvers(str(file))
    assert resolvers.servers() == [(socket.AF_INET, ("10.0.0.53", 53)), (socket.AF_INET6, ("fd00::53", 53))]
    other = tmp_path / "other"
    other.write_text("options rotate\n")
    os.replace(other, file)
    assert resolvers.servers() == [(socket.AF_INET, ("127.0.0.1", 53))]
