"""The control of the table of claims: outside of any sandbox, as root, the same attempts succeed.

A claim whose attempt fails everywhere would prove nothing. They run as root of a user-mode Linux guest, where nothing
that they do can hurt the machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from claims import CLAIMS, Claim  # noqa: E402
from places import GUEST  # noqa: E402
from uml import boot  # noqa: E402

MARK = "ANSWERS "
CONTROLLED = [claim for claim in CLAIMS if claim.control]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(boot.why_not() is not None, reason=f"no user-mode Linux: {boot.why_not()}"),
    pytest.mark.skipif(bool(GUEST), reason="this is the guest"),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    rows = tmp_path_factory.mktemp("controls") / "rows.json"
    rows.write_text(json.dumps([[c.name, c.attempt, dict(c.arguments)] for c in CONTROLLED]))
    result = boot.run([sys.executable, str(HERE / "outside.py"), str(rows)], reachable=[rows.parent], timeout=100)
    line = next((line for line in result.output.splitlines() if line.startswith(MARK)), None)
    assert line is not None, result.console + result.output
    return dict(json.loads(line.removeprefix(MARK)))


@pytest.mark.parametrize("claim", CONTROLLED, ids=lambda claim: f"root can {claim.name}")
def test_outside_of_a_sandbox(claim: Claim, answers: dict[str, dict[str, object]]) -> None:
    assert "got" in answers[claim.name], answers[claim.name]


def test_most_claims_have_a_control() -> None:
    assert len(CONTROLLED) > len(CLAIMS) / 2
