"""The directory that Invoke reads: what a qualifier names, how weights share calls, what versions have in common."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lambent.services.lambda_.aliases.domain import Alias
from lambent.services.lambda_.code.store import CodeStore
from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.domain import Function, Package, Settings

KEY = ("000000000000", "us-east-1", "hello")
SETTINGS = Settings(role="arn:aws:iam::000000000000:role/worker", runtime="python3.12", handler="app.handler")
LATEST = Function(*KEY, settings=SETTINGS, package=Package("00" * 32, 1), environment=None, modified_ms=0)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    directory = Directory(CodeStore(tmp_path), draw=random.Random(1).random)
    directory.put(LATEST)
    for number in (1, 2):
        directory.put(LATEST.published(number, None))
    return directory


def found(directory: Directory, qualifier: str | None) -> str | None:
    version = directory.find(*KEY, qualifier)
    return None if version is None else version.version


def test_a_qualifier_names_latest_a_version_or_an_alias(directory: Directory) -> None:
    directory.put_alias(Alias(*KEY, name="live", version="2"))
    directory.put_alias(Alias(*KEY, name="dev", version="$LATEST"))
    named = {qualifier: found(directory, qualifier) for qualifier in (None, "$LATEST", "1", "live", "dev", "3", "x")}
    assert named == {
        None: "$LATEST",
        "$LATEST": "$LATEST",
        "1": "1",
        "live": "2",
        "dev": "$LATEST",
        "3": None,
        "x": None,
    }


def test_a_tenth_of_ten_thousand_calls_is_a_tenth(directory: Directory) -> None:
    directory.put_alias(Alias(*KEY, name="live", version="1", weights={"2": 0.1}))
    executed = Counter(found(directory, "live") for _ in range(10_000))
    assert executed.keys() == {"1", "2"}
    assert 900 <= executed["2"] <= 1100


def test_a_reservation_is_one_for_all_versions(directory: Directory) -> None:
    directory.put(replace(LATEST, reserved_concurrency=5))
    versions = [directory.find(*KEY, qualifier) for qualifier in (None, "1", "2")]
    assert [version and version.reserved_concurrency for version in versions] == [5, 5, 5]


def test_what_is_removed_is_not_found(directory: Directory) -> None:
    directory.put_alias(Alias(*KEY, name="live", version="2"))
    directory.remove_qualifier(KEY, "1")
    directory.remove_qualifier(KEY, "live")
    assert [found(directory, qualifier) for qualifier in (None, "1", "2", "live")] == ["$LATEST", None, "2", None]
    directory.remove(KEY)
    assert [found(directory, qualifier) for qualifier in (None, "2")] == [None, None]
    # Settled after its function went: it does not come back.
    directory.put(LATEST.published(2, None))
    assert found(directory, "2") is None
