"""The hostile suite under cgroup v2: as root, and rootless with a delegated subtree, in a user-mode Linux guest.

What frames, requests and log lines do to the server, and what a runtime holds, depends on no cgroup: only natively.
"""

import re
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from uml import boot

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(boot.why_not() is not None, reason=f"no user-mode Linux: {boot.why_not()}"),
]

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "400", "--durations", "15"]
SUITE = ["tests/sandbox/hostile", "--ignore", "tests/sandbox/hostile/test_hostile_controls.py", "-m", "not native"]


USERS = ("root", "rootless")


Guests = dict[str, "Future[boot.GuestResult]"]


@pytest.fixture(scope="module")
def guests(request: pytest.FixtureRequest) -> Iterator[Guests]:
    """The guests that this run asks for, side by side: each has one processor, and each takes minutes."""
    names = [item.name for item in request.session.items if getattr(item, "module", None) is request.module]
    wanted = [user for user in USERS if any(name.endswith(f"[{user}]") for name in names)]
    with ThreadPoolExecutor(len(wanted)) as pool:
        yield {
            user: pool.submit(boot.run, [*PYTEST, *SUITE], user=user, memory_mb=3072, timeout=1700) for user in wanted
        }


@pytest.mark.parametrize("user", USERS)
def test_hostile_functions_get_nothing_under_cgroup_v2(guests: Guests, user: str) -> None:
    result = guests[user].result()
    print(result.output[-4000:])
    assert result.status == 0, result.console[-4000:] + result.output[-20_000:]
    passed = re.search(r"(\d+) passed", result.output)
    assert passed is not None
    assert int(passed[1]) > 150, "most of the suite did not run"
