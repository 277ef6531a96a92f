"""Concurrency arithmetic: each limit, its reason, and what frees it."""

from __future__ import annotations

import pytest

from lambent.invoke.admission import Admission, FunctionLoad
from lambent.invoke.errors import TooManyRequestsException

ACCOUNT = "ConcurrentInvocationLimitExceeded"
RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"


def taken(admission: Admission, name: str, reserved: int | None, now: float) -> FunctionLoad:
    """One more execution on demand."""
    load, share = admission.acquire(name, "$LATEST", reserved, now)
    assert share is None
    return load


def refused(admission: Admission, name: str, reserved: int | None, now: float) -> str:
    with pytest.raises(TooManyRequestsException) as caught:
        taken(admission, name, reserved, now)
    assert caught.value.message == "Rate Exceeded."
    assert caught.value.status == 429
    assert caught.value.members["retryAfterSeconds"] == "1"
    return str(caught.value.members["Reason"])


def test_the_account_limit_is_shared_by_functions_without_a_reservation() -> None:
    admission = Admission(3)
    loads = [taken(admission, name, None, 0.0) for name in ("a", "b", "a")]
    assert refused(admission, "c", None, 0.0) == ACCOUNT
    admission.release(loads[1], None)
    taken(admission, "c", None, 0.0)
    assert admission.running == 3


def test_a_reservation_is_kept_for_its_function_even_while_it_runs_nothing() -> None:
    admission = Admission(5)
    admission.reserve("a", 3, 0.0)
    for _ in range(2):
        taken(admission, "b", None, 0.0)
    assert refused(admission, "b", None, 0.0) == ACCOUNT
    for _ in range(3):
        taken(admission, "a", 3, 0.0)
    assert refused(admission, "a", 3, 0.0) == RESERVED


def test_a_reservation_of_zero_refuses_everything() -> None:
    assert refused(Admission(1000), "a", 0, 0.0) == RESERVED


def test_lifting_a_reservation_moves_what_runs_to_the_shared_pool() -> None:
    admission = Admission(4)
    loads = [taken(admission, "a", 2, 0.0) for _ in range(2)]
    assert repr(admission) == "<Admission 0/2 unreserved, 2 set aside>"
    admission.reserve("a", None, 0.0)
    assert repr(admission) == "<Admission 2/4 unreserved, 0 set aside>"
    for load in loads:
        admission.release(load, None)
    assert repr(admission) == "<Admission 0/4 unreserved, 0 set aside>"


def test_a_deleted_function_gives_its_reservation_back_and_its_running_ones_as_they_end() -> None:
    admission = Admission(4)
    kept = taken(admission, "a", None, 0.0)
    taken(admission, "b", 2, 0.0)
    admission.forget("a")
    admission.forget("b")
    assert repr(admission) == "<Admission 1/4 unreserved, 0 set aside>"
    admission.release(kept, None)
    assert repr(admission) == "<Admission 0/4 unreserved, 0 set aside>"


@pytest.mark.parametrize(
    ("reserved", "per_second", "reason"),
    [
        (None, 100, "FunctionInvocationRateLimitExceeded"),
        (3, 30, "ReservedFunctionInvocationRateLimitExceeded"),
    ],
)
def test_ten_requests_a_second_per_unit_of_concurrency(reserved: int | None, per_second: int, reason: str) -> None:
    admission = Admission(10)

    def pass_through(count: int, now: float) -> None:
        for _ in range(count):
            admission.release(taken(admission, "a", reserved, now), None)

    pass_through(per_second, 0.0)
    assert refused(admission, "a", reserved, 0.0) == reason
    pass_through(per_second // 10, 0.1)
    assert refused(admission, "a", reserved, 0.1) == reason
    # No more than one second's worth is saved up.
    pass_through(per_second, 100.0)
    assert refused(admission, "a", reserved, 100.0) == reason


def test_a_thousand_environments_per_ten_seconds_and_function() -> None:
    admission = Admission(5000)
    load, other = taken(admission, "a", None, 0.0), taken(admission, "b", None, 0.0)

    def starts(load: FunctionLoad, now: float) -> int:
        count = 0
        while True:
            try:
                admission.take_start(load, now)
            except TooManyRequestsException:
                return count
            count += 1

    assert starts(load, 0.0) == 1000
    assert starts(other, 0.0) == 1000
    assert starts(load, 1.0) == 100
    assert starts(load, 1000.0) == 1000
