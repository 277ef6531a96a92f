"""Each row of the table of claims, tried by a function in a real region at each level where the claim is made."""

import pytest
from claims import CLAIMS, Claim
from places import Place, places
from region import Region

ROWS = [
    pytest.param(place, claim, id=f"{place}-cannot {claim.name}")
    for place in places()
    for claim in CLAIMS
    if place.column in claim.levels
]


@pytest.mark.slow
@pytest.mark.parametrize(("place", "claim"), ROWS)
def test_a_hostile_function(place: Place, claim: Claim, region: Region) -> None:
    outcome = region.attempt(claim.attempt, **region.fill_in(claim.arguments))
    assert outcome.refused is not None, f"got {outcome.payload}"
    assert "Timedout" not in outcome.refused


def test_claims_are_told_apart_by_their_names() -> None:
    names = [claim.name for claim in CLAIMS]
    assert len(names) == len(set(names))


def test_every_claim_is_made_somewhere() -> None:
    assert all(claim.levels for claim in CLAIMS)
