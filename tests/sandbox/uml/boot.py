"""Boots this machine's files as a user-mode Linux guest with cgroup v2, and runs one command in it.

The guest's root is the host's root through hostfs, held read-only twice: the guest mounts it so, and the UML process
itself lives in a mount namespace where every host mount is read-only, so that not even root in the guest can change
the host. `guest.py` is the guest's init. Debian's package `user-mode-linux` brings the kernel.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
KERNEL = "linux.uml"
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class GuestResult:
    #: Exit status of the command; None when the guest did not reach its end (panic, time limit).
    status: int | None
    #: What the command wrote to its stdout and stderr.
    output: str
    #: What the guest's kernel and init said.
    console: str
    seconds: float


def why_not() -> str | None:
    """The reason that no guest can be booted here, or None."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "user-mode Linux exists for Linux on x86_64 only"
    if shutil.which(KERNEL) is None:
        return "the Debian package user-mode-linux is not installed"
    if shutil.which("unshare") is None:
        return "unshare (util-linux) is not installed"
    probe = subprocess.run([*_namespaces(), "true"], capture_output=True, text=True, check=False)
    return None if probe.returncode == 0 else f"no mount namespace can be made here: {probe.stderr.strip()}"


def run(
    command: Sequence[str],
    *,
    user: str = "root",
    environment: Mapping[str, str] | None = None,
    memory_mb: int = 2048,
    timeout: float = 600.0,
    reachable: Sequence[Path] = (),
) -> GuestResult:
    """Run `command` in a fresh guest from the repository's folder.

    `user` is `root`, or `rootless`: a fresh uid without subordinate ids, inside a cgroup subtree delegated to it.
    `reachable` names further host paths that the command must be able to open as that uid; the repository and the
    running interpreter are among them anyway.
    """
    if user not in ("root", "rootless"):
        raise ValueError(f"user is root or rootless, not {user!r}")
    with tempfile.TemporaryDirectory(prefix="lambent-uml-") as folder:
        exchange = Path(folder)
        job = {
            "command": list(command),
            "user": user,
            "environment": dict(environment or {}),
            "cwd": str(REPOSITORY),
            "reachable": [str(path) for path in _needed_paths(reachable)],
            "modules": str(_modules_folder()),
            "timeout": timeout,
        }
        (exchange / "job.json").write_text(json.dumps(job))
        _write_init(exchange)
        started = time.monotonic()
        console = _boot(exchange, memory_mb, timeout)
        return GuestResult(
            status=_read_status(exchange),
            output=_read_text(exchange / "output"),
            console=console,
            seconds=time.monotonic() - started,
        )


def _boot(exchange: Path, memory_mb: int, timeout: float) -> str:
    arguments = [
        *_namespaces(),
        sys.executable,
        "-I",
        str(HERE / "jail.py"),
        str(exchange),
        KERNEL,
        f"mem={memory_mb}M",
        f"uml_dir={exchange}/",
        "rootfstype=hostfs",
        "ro",
        f"init={exchange}/init",
        "con=null",
        "con0=null,fd:1",
        "quiet",
        "panic=-1",
        # SELinux is compiled in and would deny nothing without a policy, but its xattr checks cost time on hostfs.
        "selinux=0",
        "apparmor=0",
    ]
    process = subprocess.Popen(
        arguments,
        # With whoever booted it the guest goes too, however he ends.
        preexec_fn=_die_with_parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_guest_free_environment(),
    )
    try:
        console, _ = process.communicate(timeout=timeout + 30)
    except subprocess.TimeoutExpired:
        # `unshare --kill-child` takes the whole pid namespace, so the guest, down with it.
        process.kill()
        console, _ = process.communicate()
    return console.decode(errors="replace").replace("\r\n", "\n")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _namespaces() -> list[str]:
    flags = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    return flags if os.geteuid() == 0 else [*flags, "--user", "--map-root-user"]


def _guest_free_environment() -> dict[str, str]:
    """UML turns unknown variables into the environment of init, and reads some itself: give it none."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/", "TMPDIR": "/dev/shm"}


def _write_init(exchange: Path) -> None:
    """The kernel starts init without arguments, so a script says which interpreter and which exchange folder."""
    init = exchange / "init"
    init.write_text(f"#!/bin/sh\nexec '{sys.executable}' -E -S '{HERE / 'guest.py'}' '{exchange}'\n")
    init.chmod(0o755)


def _needed_paths(extra: Sequence[Path]) -> list[Path]:
    prefixes = [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve()]
    paths = [REPOSITORY, *prefixes, *extra]
    return [path for path in dict.fromkeys(paths) if not path.is_relative_to("/usr")]


def _modules_folder() -> Path | None:
    """Where the package keeps loop, overlay and the like; the guest's init loads them by their path."""
    folders = sorted(Path("/usr/lib/uml/modules").glob("*/kernel"))
    return folders[-1] if folders else None


def _read_status(exchange: Path) -> int | None:
    text = _read_text(exchange / "status")
    return int(text) if text else None


def _read_text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def main(arguments: Sequence[str]) -> int:
    """`python boot.py root|rootless COMMAND …`: a guest by hand."""
    environment = {"PYTHONPATH": str(REPOSITORY / "src")}
    result = run(arguments[1:], user=arguments[0], environment=environment, timeout=3600)
    sys.stdout.write(f"{result.console}{result.output}")
    return 1 if result.status is None else result.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
