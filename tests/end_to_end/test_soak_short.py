"""The short form of the soak: a minute of mixed load over many functions, without an error and without a leak."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(sys.platform != "linux", reason="what a region holds of the machine is counted in /proc")
def test_a_minute_of_mixed_load_leaves_no_error_and_no_leak() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LAMBENT_", "AWS_"))}
    done = subprocess.run(
        [sys.executable, "bench/soak.py", "--seconds", "60", "--functions", "200"],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
