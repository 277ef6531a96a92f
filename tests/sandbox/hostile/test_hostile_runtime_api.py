"""HTTP made by hand: what a custom runtime sends to the Runtime API, which the server itself serves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from region import FUNCTIONS, Region, new_marker, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.native,
    pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="no interpreter shows in every sandbox"),
]

MIB = 1024 * 1024
BOOTSTRAP = (FUNCTIONS / "bootstrap").read_text()
ATTACKS = re.findall(r'^    "(.+?)": lambda', BOOTSTRAP, re.MULTILINE)


@pytest.fixture
def runtime(region: Region) -> str:
    try:
        region.client.get_function_configuration(FunctionName="runtime")
    except region.client.exceptions.ResourceNotFoundException:
        region.deploy(
            "runtime",
            handler="bootstrap",
            Runtime="provided.al2023",
            Timeout=8,
            files={"bootstrap": BOOTSTRAP},
        )
    return "runtime"


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_runtime_api_survives(region: Region, runtime: str, attack: str) -> None:
    region.invoke("neighbour", 0)
    region.invoke(runtime, {"first": True})
    memory, descriptors = region.resident_memory(), region.open_descriptors()
    region.invoke(runtime, {"attack": attack})
    assert region.invoke("neighbour", attack).payload == {"pong": attack}
    assert region.resident_memory() - memory < 48 * MIB
    # Whatever became of the environment, the function's next caller gets his own answer.
    marker = new_marker()
    assert region.invoke(runtime, {"is": marker}).payload == {"echo": {"is": marker}}
    if attack != "connections that say nothing":
        until(lambda: region.open_descriptors() <= descriptors + 24, f"the descriptors are about {descriptors} again")


def test_there_are_attacks_to_try() -> None:
    assert len(ATTACKS) > 10
