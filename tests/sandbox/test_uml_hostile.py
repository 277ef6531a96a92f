"""The hostile suite under cgroup v2: as root, and rootless with a delegated subtree, in a user-mode Linux guest."""

import re
import sys

import pytest
from uml import boot

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(boot.why_not() is not None, reason=f"no user-mode Linux: {boot.why_not()}"),
]

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "400", "--durations", "15"]
SUITE = ["tests/sandbox/hostile", "--ignore", "tests/sandbox/hostile/test_hostile_controls.py"]


@pytest.mark.parametrize("user", ["root", "rootless"])
def test_hostile_functions_get_nothing_under_cgroup_v2(user: str) -> None:
    result = boot.run([*PYTEST, *SUITE], user=user, memory_mb=3072, timeout=1700)
    print(result.output[-4000:])
    assert result.status == 0, result.console[-4000:] + result.output[-20_000:]
    passed = re.search(r"(\d+) passed", result.output)
    assert passed is not None
    assert int(passed[1]) > 150, "most of the suite did not run"
