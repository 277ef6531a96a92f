"""Documentation that is made from the code is made again whenever the code changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_compatibility_page_is_current() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "compatibility.py"), "--check"]
    answer = subprocess.run(script, capture_output=True, text=True, check=False)
    assert answer.stdout + answer.stderr == ""
    assert answer.returncode == 0
