"""`lambent traces`: a table of what there is and a tree of one, whatever its segments say."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from typer.testing import CliRunner

from lambent.cli.main import app
from lambent.cli.traces import tree_of
from tests.conftest import Region

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trace(region: Region) -> str:
    now = time.time()
    trace_id = f"1-{int(now):08x}-{7:024x}"
    web: dict[str, Any] = {"trace_id": trace_id, "id": "a" * 16, "name": "web", "start_time": now - 2, "end_time": now}
    inside = {"id": "b" * 16, "name": "call", "start_time": now - 1.5, "end_time": now - 1}
    back = {**web, "id": "c" * 16, "parent_id": "b" * 16, "name": "back", "start_time": now - 1.25, "end_time": now - 1}
    documents = [{**web, "subsegments": [inside], "fault": True}, {**back, "origin": "AWS::Lambda"}]
    region.client("xray").put_trace_segments(TraceSegmentDocuments=[json.dumps(each) for each in documents])
    return trace_id


def traces(region: Region, *options: str) -> Any:
    """In this process: the client library takes longer to import than all of this."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["traces", "--data-dir", str(region.data_dir), *options])


def test_recent_traces_are_a_table(region: Region, trace: str) -> None:
    (_, row) = traces(region).stdout.splitlines()
    assert row.startswith(trace)
    assert "2.000 s  fault  web → back" in " ".join(row.split(" ")).replace("   ", "  ")
    assert json.loads(traces(region, "--filter", "fault", "--json").stdout)[0]["Id"] == trace
    assert "no traces" in traces(region, "--filter", "throttle").stdout


def test_one_trace_is_a_tree_with_durations(region: Region, trace: str) -> None:
    title, web, call, back = traces(region, trace).stdout.splitlines()
    assert title == f"{trace}  2.000 s"
    assert web == "└── web  2.000 s  +0.0 ms  fault"
    assert call == "    └── call  500.0 ms  +500.0 ms"
    assert back == "        └── back AWS::Lambda  250.0 ms  +750.0 ms"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("1-2-3",), "A trace is named as 1-684ee180"),
        ((f"1-684ee180-{'0' * 24}",), "There is no trace 1-684ee180"),
        (("--since", "now"), "--since takes a number and a unit"),
        (("--filter", "nonsense"), "InvalidRequestException"),
    ],
    ids=range(4),
)
def test_what_cannot_be_shown_is_a_sentence(region: Region, options: tuple[str, ...], words: str) -> None:
    done = traces(region, *options)
    assert (done.exit_code, words in done.stderr) == (1, True), done.stderr


def test_a_tree_stands_what_segments_may_say() -> None:
    nodes = [
        {"id": f"{number}", "name": "\x1b[2J", "parent_id": f"{number - 1}", "start_time": 1, "end_time": 2}
        for number in range(3000)
    ]
    circle = [{**nodes[0], "id": "x", "parent_id": "y"}, {**nodes[0], "id": "y", "parent_id": "x"}]
    odd = [{"id": "z", "start_time": 1, "subsegments": [{}, {"start_time": "x", "end_time": 10**400}]}]
    tree = tree_of("t", [*nodes, *circle, *odd])
    assert "\x1b" not in str(tree.children[0].label)
    assert len(tree.children) == 3
