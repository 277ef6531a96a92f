"""Parts of the supervisor by themselves: messages, paths without mounts, trees of processes, subordinate ids."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lambent.sandbox import commands, plain, rootless, stock
from lambent.sandbox.shells import Phases
from lambent.sandbox.spec import (
    LaunchSpec,
    RuntimeSpec,
    SandboxError,
    SupervisorOptions,
    as_sandbox_error,
    launch_spec,
    sandbox_error,
    supervisor_options,
    to_json,
)

_RUNTIME = RuntimeSpec("python3.12", "fork", True, ("/var/lang/bin/python", "/var/runtime/b.py"), "/r", "/l", ("/h",))


def test_values_survive_the_way_over_the_socket() -> None:
    options = SupervisorOptions("auto", "/data", runtimes=(_RUNTIME,), file_systems=(("arn", "/srv/x"),))
    assert supervisor_options(to_json(options)) == options
    spec = LaunchSpec("ab", "python3.12", "/data/c", ("/data/l",), 256, 600, {"A": "b"}, True, (("arn", "/mnt/x"),))
    assert launch_spec(to_json(spec)) == spec
    error = SandboxError("mount", "/proc", 1, "Ask somebody.")
    assert str(sandbox_error(error.to_json())) == "mount(/proc) failed: Operation not permitted. Ask somebody."
    assert as_sandbox_error(error) is error
    assert "No space left" in str(as_sandbox_error(OSError(28, "No space left on device", "/tmp/x")))


def test_messages_carry_descriptors_and_keep_their_order_when_the_socket_is_full() -> None:
    ours, theirs = commands.socket_pair()
    link = commands.Link(ours)
    read_end, write_end = os.pipe()
    for number in range(500):
        link.send({"number": number, "padding": "x" * 2000})
    assert link.is_congested
    link.send({"number": 500}, [write_end])
    theirs.setblocking(False)
    numbers: list[int] = []
    while len(numbers) < 501:
        try:
            received = commands.receive(theirs)
        except BlockingIOError:
            link.flush()
            continue
        assert received is not None
        message, fds = received
        numbers.append(message["number"])
    assert numbers == list(range(501))
    # The link gave its own copy away and closed it; the one received is the last.
    os.write(fds[0], b"here")
    assert os.read(read_end, 4) == b"here"
    commands.close_all(fds)
    assert os.read(read_end, 4) == b""
    os.close(read_end)
    link.close()
    assert commands.receive(theirs) is None
    theirs.close()


def test_descriptors_to_be_kept_stay_open() -> None:
    ours, theirs = commands.socket_pair()
    link = commands.Link(ours)
    read_end, write_end = os.pipe()
    link.send({}, [read_end, write_end], keep=[write_end])
    os.fstat(write_end)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read_end)
    received = commands.receive(theirs)
    assert received is not None
    commands.close_all([*received[1], write_end])
    link.close()
    theirs.close()


def test_a_peer_that_is_gone_ends_the_conversation_quietly() -> None:
    ours, theirs = commands.socket_pair()
    link = commands.Link(ours)
    theirs.close()
    link.send({"to": "nobody"})
    assert not link.is_congested
    assert link.receive() is None
    link.close()


def test_lambdas_folders_are_found_where_nothing_is_mounted() -> None:
    paths = plain.Paths(_RUNTIME, "/data/code", "", "/data/tmp/1")
    assert paths.real("/var/task") == "/data/code"
    assert paths.real("/var/task/bootstrap") == "/data/code/bootstrap"
    assert paths.real("/var/lang/bin/python") == "/l/bin/python"
    assert paths.real("/var/tasks") == "/var/tasks"
    assert paths.real("/opt/x") == "/opt/x"  # no layer
    variables = {"PATH": "/var/lang/bin:/usr/bin", "LAMBDA_TASK_ROOT": "/var/task", "MINE": "/var/task"}
    assert paths.environment(variables) == {
        "PATH": "/l/bin:/usr/bin",
        "LAMBDA_TASK_ROOT": "/data/code",
        "MINE": "/var/task",
        "TMPDIR": "/data/tmp/1",
    }
    assert paths.read_only == ["/data/code", "/r", "/l"]


_TREE = """
import os, sys, time
import ctypes; ctypes.CDLL(None).prctl(36, 1)
os.setsid()
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.mark.slow
def test_a_tree_is_killed_with_the_daemons_that_it_made() -> None:
    root = subprocess.Popen([sys.executable, "-c", _TREE], stdout=subprocess.PIPE, text=True)
    assert root.stdout is not None
    assert root.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 5
    while len(daemons := [pid for pid in plain.children(root.pid) if plain.children(pid) == []]) < 3:
        assert time.monotonic() < deadline
    plain.kill_tree(root.pid)
    assert root.wait(5) == -signal.SIGKILL
    root.stdout.close()
    for pid in daemons:
        while _runs(pid):
            assert time.monotonic() < deadline


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("1234:100000:65536", (100000, 65536)),
        ("other:1:2\n1234:5:6", (5, 6)),
        ("1234:100000:0", None),
        ("1234:nonsense", None),
        ("12345:1:2", None),
        ("", None),
    ],
)
def test_subordinate_ids_are_those_of_the_user(tmp_path: Path, line: str, found: tuple[int, int] | None) -> None:
    file = tmp_path / "subuid"
    file.write_text(line + "\n")
    assert rootless._subordinate(str(file), 1234) == found
    assert rootless._subordinate(str(tmp_path / "missing"), 1234) is None


def test_phases_keep_a_bounded_number_of_samples() -> None:
    phases = Phases()
    for number in range(5000):
        phases.add({"fork": float(number)})
    summary = phases.summary()["fork"]
    assert summary["count"] <= 2000
    assert summary["max"] == 4999
    assert stock.POOLED_TMP_MB == 512
