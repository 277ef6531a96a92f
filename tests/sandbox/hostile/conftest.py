"""One region for each isolation level that this machine can give, shared by every hostile test at that level."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from claims import EVERYWHERE
from places import Place, places
from region import Region


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "native: the same whatever the cgroups are, so that the guests leave it out")
    config.addinivalue_line("markers", "levels(*columns): the isolation levels at which a hostile test's claim is made")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `place` runs once at each level that its `levels` mark names (everywhere without)."""
    if "place" not in metafunc.fixturenames or "claim" in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("levels")
    levels = frozenset(mark.args) if mark else EVERYWHERE
    metafunc.parametrize("place", [place for place in places() if place.column in levels], ids=str)


@pytest.fixture(scope="session")
def regions() -> Iterator[dict[Place, Region]]:
    """Regions by place, started when first asked for."""
    started: dict[Place, Region] = {}
    yield started
    for region in started.values():
        region.stop()


@pytest.fixture(scope="session")
def failures() -> dict[Place, str]:
    """Why a level's region could not be started: the first failure is the answer of every further test."""
    return {}


@pytest.fixture
def region(place: Place, regions: dict[Place, Region], failures: dict[Place, str]) -> Region:
    if place in failures:
        pytest.fail(f"No region of level {place}: {failures[place]}", pytrace=False)
    if place not in regions:
        try:
            regions[place] = region = Region(place)
            region.deploy("hostile")
            region.deploy("neighbour", handler="hostile.ping")
        except BaseException as error:
            failures[place] = str(error)
            raise
    return regions[place]
