from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def iam(region: Any) -> Any:
    return region.client("iam")
