"""The user-mode Linux guest that the cgroup v2 tests run in: what it must offer, and that it cannot hurt the host."""

import json
import sys
from pathlib import Path

import pytest
from uml import boot

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(boot.why_not() is not None, reason=f"no user-mode Linux: {boot.why_not()}"),
]

PROBE = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
victim = sys.argv[1]
def attempt(action):
    try:
        action()
        return "done"
    except OSError as error:
        return error.strerror
def mount(source, target, kind, flags, options):
    if libc.mount(source, target, kind, flags, options):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def write():
    with open(victim, "w") as file:
        file.write("changed by the guest")
def write_through_second_mount():
    os.makedirs("/tmp/host", exist_ok=True)
    mount(b"none", b"/tmp/host", b"hostfs", 0, b"/")
    with open("/tmp/host" + victim, "w") as file:
        file.write("changed by the guest")
cgroup = open("/proc/self/cgroup").read().strip().split("::")[1]
folder = "/sys/fs/cgroup" + cgroup.rstrip("/")
print(json.dumps({
    "uid": os.getuid(),
    "cgroup": cgroup,
    "controllers": open(folder + "/cgroup.controllers").read().split(),
    "owned": os.stat(folder + "/cgroup.procs").st_uid,
    "loop": os.path.exists("/dev/loop-control"),
    "remount": attempt(lambda: mount(b"none", b"/", b"hostfs", 32, b"rw")),
    "write": attempt(write),
    "second_mount": attempt(write_through_second_mount),
    "repository": attempt(lambda: os.listdir(os.getcwd())),
}))
"""


def probe(user: str, victim: Path) -> dict[str, object]:
    result = boot.run([sys.executable, "-c", PROBE, str(victim)], user=user, timeout=60)
    assert result.status == 0, result.console + result.output
    return dict(json.loads(result.output))


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("host") / "file"
    path.write_text("the host's")
    return path


@pytest.fixture(scope="module")
def root_guest(victim: Path) -> dict[str, object]:
    return probe("root", victim)


@pytest.fixture(scope="module")
def rootless_guest(victim: Path) -> dict[str, object]:
    return probe("rootless", victim)


def test_the_guest_hands_every_controller_down(root_guest: dict[str, object]) -> None:
    assert {"cpu", "memory", "pids"} <= set(root_guest["controllers"])  # type: ignore[call-overload]
    assert root_guest["uid"] == 0
    assert root_guest["loop"] is True


def test_root_in_the_guest_cannot_change_a_file_of_the_host(root_guest: dict[str, object], victim: Path) -> None:
    assert "done" not in (root_guest["write"], root_guest["second_mount"])
    assert victim.read_text() == "the host's"


def test_the_rootless_job_has_a_fresh_uid_and_its_own_cgroup_subtree(rootless_guest: dict[str, object]) -> None:
    assert rootless_guest["uid"] != 0
    assert rootless_guest["owned"] == rootless_guest["uid"]
    assert {"cpu", "memory", "pids"} <= set(rootless_guest["controllers"])  # type: ignore[call-overload]


def test_the_rootless_job_can_reach_the_repository(rootless_guest: dict[str, object]) -> None:
    assert rootless_guest["repository"] == "done"


def test_a_guest_that_never_ends_is_ended() -> None:
    result = boot.run(["/bin/sleep", "600"], timeout=1)
    assert result.status == 124
    assert result.seconds < 30


def test_a_command_of_the_guest_hands_back_its_status_and_output() -> None:
    result = boot.run(["/bin/sh", "-c", "echo said; exit 7"], timeout=30)
    assert (result.status, result.output) == (7, "said\n")
