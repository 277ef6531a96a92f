"""How much the conformance suite tries: few examples by default, `LAMBENT_WIRE_EXAMPLES` for more."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

suite_settings = settings(
    max_examples=int(os.environ.get("LAMBENT_WIRE_EXAMPLES", "3")),
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
