"""What a minute of a metric keeps, and what metric math makes of it."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.services.cloudwatch.distribution import ERROR, Distribution, merged, packed, unpacked
from lambent.services.cloudwatch.expressions import MathError, parse
from lambent.services.cloudwatch.queries import Result, cut

VALUES = st.lists(st.floats(min_value=0, max_value=2.0**360, allow_nan=False), min_size=1, max_size=200)


def filled(values: list[float]) -> Distribution:
    made = Distribution()
    for value in values:
        made.add(value)
    return made


@given(VALUES, st.floats(min_value=0, max_value=100))
def test_a_percentile_is_off_by_one_percent_at_most(values: list[float], percent: float) -> None:
    exact = sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]
    assert filled(values).percentile(percent) == pytest.approx(exact, rel=ERROR * 1.0001, abs=0)


@given(VALUES, VALUES)
def test_merged_parts_are_the_whole(left: list[float], right: list[float]) -> None:
    whole, parts = filled(left + right), merged([filled(left), filled(right)])
    assert (parts.count, parts.minimum, parts.maximum) == (whole.count, whole.minimum, whole.maximum)
    assert parts.sum == pytest.approx(whole.sum)
    assert parts.buckets == whole.buckets


@given(VALUES)
def test_buckets_come_back_from_the_disk_as_they_were(values: list[float]) -> None:
    buckets = filled(values).buckets
    assert unpacked(packed(buckets)) == buckets


def test_negative_values_have_no_percentiles() -> None:
    assert filled([-1.0, 2.0]).percentile(50) is None
    assert merged([filled([1.0]), filled([-1.0])]).percentile(50) is None


@pytest.mark.parametrize(
    "text", ["", "(", "a b", "SUM(", "SUM(a,", "1 $ 2", "FILL(a)", "NOSUCH(a)", "[a", "a]", ")", "a..b", "^2"]
)
def test_what_is_no_expression_is_told(text: str) -> None:
    with pytest.raises(MathError):
        parse(text)


@given(st.text(alphabet="amr0123456789+-*/^()[],<>=!&|. SUMFILRATE\"'", max_size=200))
def test_any_text_is_an_expression_or_told_not_to_be(text: str) -> None:
    with contextlib.suppress(MathError):
        parse(text)


@given(st.lists(st.integers(min_value=0, max_value=7), max_size=6), st.integers(min_value=1, max_value=9))
def test_pages_hold_every_point_once(sizes: list[int], most: int) -> None:
    results = [Result(str(number), "", [(at, float(at)) for at in range(size)]) for number, size in enumerate(sizes)]
    skip: int | None = 0
    seen: dict[str, list[tuple[int, float]]] = {}
    finished: list[str] = []
    while skip is not None:
        page, skip = cut(results, skip, most)
        assert sum(len(part.points) for part, _ in page) <= most
        for part, whole in page:
            seen.setdefault(part.id, []).extend(part.points)
            finished += [part.id] if whole else []
    assert seen == {result.id: list(result.points) for result in results}
    assert sorted(finished) == sorted(seen)
