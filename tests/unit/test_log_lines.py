"""The region's own log: what others put into its messages stays in their lines."""

from __future__ import annotations

import logging

import pytest

from lambent.cli.log_lines import LineFormatter


def formatted(message: str, *arguments: object) -> str:
    record = logging.LogRecord("lambent.edge", logging.INFO, "", 0, message, arguments, None)
    return LineFormatter().format(record)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a plain é 中 line", "a plain é 中 line"),
        ("one\n2026-01-01 00:00:00,000 ERROR lambent: two", r"one\n2026-01-01 00:00:00,000 ERROR lambent: two"),
        ("\r\x1b[2J\x00\x85\u2028", r"\r\x1b[2J\x00\x85\u2028"),
        ("\ud800", r"\ud800"),
    ],
    ids=range(4),
)
def test_a_message_is_one_line_whatever_it_quotes(given: str, shown: str) -> None:
    assert formatted("It said: %s", given).endswith(f" INFO lambent.edge: It said: {shown}")


def test_a_message_of_megabytes_is_cut() -> None:
    line = formatted("%s", "\n" * 6_000_000)
    assert len(line) < 10_000
    assert line.endswith("… (6000000 characters)")


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        record = logging.LogRecord("l", logging.ERROR, "", 0, "failed", (), (ValueError, error, error.__traceback__))
    assert LineFormatter().format(record).splitlines()[1:2] == ["Traceback (most recent call last):"]
