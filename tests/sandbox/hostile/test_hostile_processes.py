"""Processes that stay, multiply or hide: each is gone when its invocation or its environment is."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from claims import CONFINED, LIMITED
from places import FULL, GUEST, PATIENCE
from region import FUNCTIONS, Region, new_marker, processes_with, until

pytestmark = pytest.mark.slow

#: Seconds that a hanging function is given.
BRIEF = 4 if GUEST else 1


@pytest.fixture
def brief(region: Region) -> str:
    """A function with a short timeout; made once for each region."""
    try:
        region.client.get_function_configuration(FunctionName="brief")
    except region.client.exceptions.ResourceNotFoundException:
        region.deploy("brief", Timeout=BRIEF)
    return "brief"


@pytest.mark.levels(*CONFINED)
def test_only_its_own_processes_are_visible(region: Region) -> None:
    seen = region.attempt("processes.visible").got
    assert len(seen) <= 4, seen
    assert not [line for line in seen.values() if "sleep 3600" in line or "lambent.cli" in line], seen


def test_the_process_holds_no_privilege(region: Region) -> None:
    status = region.attempt("identity.status").got
    assert {status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {""}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split() + status["Gid"].split() + status["Groups"].split()


@pytest.mark.levels(*CONFINED)
def test_the_capability_bounding_set_is_empty(region: Region) -> None:
    assert region.attempt("identity.status").got["CapBnd"].strip("0") == ""


def test_no_process_of_a_function_is_root_on_the_host(region: Region) -> None:
    marker = new_marker()
    region.attempt("processes.leave_stubborn_process", marker=marker)
    assert 0 not in host_uids(marker)
    region.replace_environments("hostile")


@pytest.mark.levels(FULL)
def test_each_environment_has_a_uid_of_its_own(region: Region) -> None:
    uids = []
    for name in ("one", "two"):
        marker = new_marker()
        function = region.deploy(f"{name}-{marker[-8:]}")
        region.attempt("processes.leave_stubborn_process", function, marker=marker)
        uids.append(host_uids(marker))
    assert uids[0].isdisjoint(uids[1])
    server = Path(f"/proc/{region.server_pid}").stat().st_uid
    assert server not in uids[0] | uids[1]


HANGING = {
    "a handler that never answers": ("processes.hang", False),
    "a handler that spins": ("processes.spin", False),
    "a handler that stops itself": ("processes.stop_oneself", False),
    "a daemon that ignores signals": ("processes.leave_stubborn_process_and_hang", True),
    "a pair that restarts each other": ("processes.leave_restarting_pair_and_hang", True),
}


@pytest.mark.parametrize("kind", HANGING)
def test_nothing_runs_on_after_the_timeout(region: Region, brief: str, kind: str) -> None:
    attempt, marked = HANGING[kind]
    marker = new_marker()
    outcome = region.attempt(attempt, brief, **({"marker": marker} if marked else {}))
    assert outcome.function_error, outcome
    assert "timed out" in outcome.payload["errorMessage"]
    until(lambda: not processes_with(marker), "the marked processes are gone", 5)
    assert region.attempt("files.leave", brief, name="after", text="").got == "after"


def test_a_busy_daemon_dies_with_its_invocation(region: Region, brief: str) -> None:
    marker = new_marker()
    outcome = region.attempt("processes.leave_stubborn_process_and_hang", brief, marker=marker, busy=True)
    assert "timed out" in outcome.payload["errorMessage"]
    until(lambda: not processes_with(marker), "the busy daemon is gone", 5)


def test_a_daemon_dies_with_its_environment(region: Region) -> None:
    marker = new_marker()
    function = region.deploy(f"daemon-{marker[-8:]}")
    region.attempt("processes.leave_stubborn_process", function, marker=marker)
    assert processes_with(marker)
    region.replace_environments(function)
    region.attempt("identity.status", function)
    until(lambda: not processes_with(marker), "the daemon of the old environment is gone", 5)


def test_a_daemon_dies_with_its_function(region: Region) -> None:
    marker = new_marker()
    function = region.deploy(f"daemon-{marker[-8:]}")
    region.attempt("processes.leave_stubborn_process", function, marker=marker, busy=True)
    region.client.delete_function(FunctionName=function)
    until(lambda: not processes_with(marker), "the daemon of the deleted function is gone", 5)


def test_a_daemon_dies_when_its_runtime_exits(region: Region) -> None:
    marker = new_marker()
    function = region.deploy(f"daemon-{marker[-8:]}")
    region.attempt("processes.leave_stubborn_process", function, marker=marker)
    assert region.attempt("processes.exit_in_the_middle", function).function_error
    until(lambda: not processes_with(marker), "the daemon of the ended runtime is gone", 5)
    assert region.attempt("files.leave", function, name="after", text="").got == "after"


@pytest.mark.levels(*LIMITED)
def test_nothing_runs_between_invocations(region: Region) -> None:
    marker = new_marker()
    region.attempt("processes.leave_stubborn_process", marker=marker, busy=True)
    (pid,) = processes_with(marker)
    until(lambda: stands_still(pid), "the busy daemon is frozen", 5)
    assert region.attempt("files.leave", name="thawed", text="").got == "thawed"
    region.replace_environments("hostile")


INIT = """
import processes
processes.leave_stubborn_process_and_hang({marker!r})
def handler(event, context):
    return 1
"""


def test_nothing_runs_on_after_an_init_that_hangs(region: Region) -> None:
    marker = new_marker()
    files = {path.name: path.read_bytes() for path in FUNCTIONS.glob("*.py")}
    function = region.deploy(
        f"init-{marker[-8:]}",
        handler="hang.handler",
        files={**files, "hang.py": INIT.format(marker=marker)},
        Timeout=BRIEF,
    )
    assert region.invoke(function, {}).function_error
    until(lambda: not processes_with(marker), "the init's daemon is gone", 15)
    assert region.invoke("neighbour", 1).payload == {"pong": 1}


@pytest.mark.alone
def test_processes_are_limited_in_number(region: Region) -> None:
    if GUEST:
        pytest.skip("a thousand forks take minutes in the guest; its threads meet the same limit")
    # Memory enough that not this is what ends it.
    function = region.deploy("roomy", MemorySize=3008)
    assert 8 < region.attempt("processes.fork_until_refused", function, limit=1500).got <= 1024


@pytest.mark.alone
def test_threads_are_limited_in_number(region: Region) -> None:
    assert 0 < region.attempt("processes.start_threads_until_refused", limit=1500).got <= 1024


@pytest.mark.alone
def test_a_fork_bomb_leaves_others_their_speed_and_is_gone_after_the_timeout(region: Region, brief: str) -> None:
    before = len(region.descendants())
    outcomes: list[object] = []
    client = region.new_client("lambda")
    bomb = threading.Thread(
        target=lambda: outcomes.append(region.invoke(brief, {"attempt": "processes.fork_bomb"}, client))
    )
    bomb.start()
    # Others are not only kept: they are started, too.
    region.replace_environments("neighbour")
    answered = 0
    while bomb.is_alive():
        assert region.invoke("neighbour", answered).seconds < 3 * PATIENCE
        answered += 1
        time.sleep(0.05)
    bomb.join()
    assert answered > 0
    # The timeout ends it, or its own memory before that.
    assert outcomes[0].function_error  # type: ignore[attr-defined]
    until(lambda: len(region.descendants()) <= before + 8, "the bomb's processes are gone", 10)
    assert region.attempt("files.leave", brief, name="after", text="").got == "after"


@pytest.mark.levels(*CONFINED)
def test_orphans_are_reaped(region: Region) -> None:
    region.attempt("processes.leave_zombies", count=20 if GUEST else 400)
    until(lambda: region.attempt("processes.zombies").got <= 2, "init has reaped the orphans", 5)


@pytest.mark.levels(*CONFINED)
def test_its_init_outlives_every_signal_from_inside(region: Region) -> None:
    assert region.attempt("processes.signal_init").got == "sent"
    assert region.attempt("files.leave", name="alive", text="").got == "alive"


@pytest.mark.levels(*CONFINED)
def test_killing_everybody_reaches_nobody_else(region: Region) -> None:
    region.attempt("processes.kill_everybody")
    assert region.targets.sleeper.poll() is None
    assert region.process.poll() is None
    assert region.invoke("neighbour", 1).payload == {"pong": 1}
    assert region.attempt("files.leave", name="alive", text="").got == "alive"


def host_uids(marker: str) -> set[int]:
    """Real, effective and saved ids, as the host counts them."""
    found = set()
    for pid in processes_with(marker):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("Uid:"):
                found |= {int(uid) for uid in line.split()[1:]}
    assert found, "no process of the function is left to look at"
    return found


def stands_still(pid: int) -> bool:
    """Two looks, a fifth of a second apart, find the same processor time."""
    first = _ticks(pid)
    time.sleep(0.2)
    return first == _ticks(pid)


def _ticks(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
