"""The program that a sandbox's init becomes, run by itself."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from lambent.sandbox import init_program


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_image_is_one_small_executable(machine: str) -> None:
    image = init_program.image(machine)
    assert image.startswith(b"\x7fELF")
    assert len(image) < 1024


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="another architecture")
def test_it_waits_and_ends_with_its_input(tmp_path: Path) -> None:
    program = tmp_path / "init"
    program.write_bytes(init_program.image())
    program.chmod(0o111)
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([str(program)], stdin=theirs.fileno(), env={})
    theirs.close()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    ours.close()
    assert process.wait(5) == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace of its own needs root")
def test_a_word_kills_all_but_itself_and_comes_back(tmp_path: Path) -> None:
    program = tmp_path / "init"
    program.write_bytes(init_program.image())
    program.chmod(0o755)
    ours, theirs = socket.socketpair()
    # The shell starts two sleepers and becomes the program, as pid 1 of its namespace.
    script = f"trap '' CHLD; sleep 1000 & (setsid sleep 1000 &); exec {program}"
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script], stdin=theirs.fileno(), env=os.environ
    )
    theirs.close()
    ours.settimeout(5)
    try:
        for word in (b"1", b"restart", b"1"):
            ours.sendall(word)
            assert ours.recv(64) == word
        ours.close()
        assert process.wait(5) == 0
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
