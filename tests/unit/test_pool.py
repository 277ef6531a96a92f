"""The pool's plan: every decision, without an environment in sight."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lambent.invoke.pool import (
    FAIR_WAIT_S,
    FIRST_CHARGE_MB,
    LEAST_CHARGE_MB,
    Decision,
    Evict,
    Group,
    Pool,
    QueueFull,
    Run,
    Start,
)

MB = FIRST_CHARGE_MB


@dataclass(eq=False)
class Env:
    group: Group
    charge_mb: int
    name: str = ""
    provisioned: bool = False

    def __repr__(self) -> str:
        return self.name


@dataclass(eq=False)
class Request:
    name: str
    since: float = 0.0


@dataclass
class Node:
    """A pool whose decisions are carried out at once, but for starts, which wait for `ready`."""

    budget: int = 10 * MB
    max_waiting: int = 10_000
    now: float = 0.0
    starting: list[Env] = field(default_factory=list)
    running: dict[str, Env] = field(default_factory=dict)
    evicted: list[str] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self.pool: Pool[Env, Request] = Pool(self.budget, self.max_waiting)

    def request(self, name: str, function: str = "f") -> str:
        """Returns what happened: the environment that took it, or ``."""
        group = self.pool.group(function, 1024, None, self.now)
        environment = self.pool.take(group)
        if environment is None:
            self.act(self.pool.wait(group, Request(name, self.now), self.now))
        else:
            self.running[name] = environment
        return self.running[name].name if name in self.running else ""

    def act(self, decisions: list[Decision[Env, Request]]) -> None:
        for decision in decisions:
            if isinstance(decision, Run):
                self.running[decision.job.name] = decision.environment
            elif isinstance(decision, Evict):
                self.evicted.append(decision.environment.name)
            else:
                assert isinstance(decision, Start)
                self.count += 1
                environment = Env(decision.group, decision.charge_mb, f"{decision.group.key}{self.count}")
                self.pool.starting(environment)
                self.starting.append(environment)

    def ready(self) -> None:
        """The oldest start is done."""
        self.act(self.pool.started(self.starting.pop(0), self.now))

    def finish(self, name: str) -> None:
        self.act(self.pool.release(self.running.pop(name), self.now))


def test_an_idle_environment_is_reused_before_another_starts() -> None:
    node = Node()
    node.request("one")
    node.ready()
    node.finish("one")
    assert node.request("two") == "f1"
    assert repr(node.pool) == (
        f"<Pool [Environments: 1 busy, 0 idle, 0 starting | Requests: 0 waiting | Memory: {MB} of {10 * MB} MB]>"
    )


def test_the_most_recently_used_goes_first_so_that_surplus_ages_out() -> None:
    node = Node()
    for name in ("one", "two", "three"):
        node.request(name)
    for _ in range(3):
        node.ready()
    for name in ("two", "three", "one"):
        node.finish(name)
    assert node.request("next") == "f1"


def test_a_waiting_request_takes_whichever_frees_or_is_ready_first() -> None:
    node = Node()
    node.request("one")
    node.ready()
    assert node.request("two") == ""
    assert len(node.starting) == 1
    node.finish("one")
    assert node.running["two"].name == "f1"
    node.ready()
    assert node.pool.statistics()["idle"] == 1
    assert node.request("three") == "f2"


def test_each_waiting_request_starts_one_environment_and_no_more() -> None:
    node = Node()
    for name in ("one", "two", "three"):
        node.request(name)
    assert len(node.starting) == 3
    node.ready()
    node.finish("one")
    assert node.running["two"].name == "f1"
    # Two are still starting, one request waits: another needs no further start.
    node.request("four")
    assert len(node.starting) == 2


def test_requests_are_served_in_order() -> None:
    node = Node(budget=MB)
    for name in ("one", "two", "three"):
        node.request(name)
    node.ready()
    assert list(node.running) == ["one"]
    node.finish("one")
    assert list(node.running) == ["two"]


def test_what_does_not_fit_evicts_the_idle_one_worth_least() -> None:
    node = Node(budget=3 * MB)
    for function, start_s, hits in (("cheap", 0.01, 50), ("rare", 0.2, 1), ("dear", 0.5, 100)):
        node.request(function, function)
        node.ready()
        node.finish(function)
        group = node.pool.find(function)
        assert group is not None
        group.start_s, group.hits = start_s, hits
    node.now = 60.0
    node.request("x", "new")
    assert node.evicted == ["rare2"]
    node.request("y", "new")
    assert node.evicted == ["rare2", "cheap1"]


def test_busy_environments_are_never_evicted_the_request_waits() -> None:
    node = Node(budget=2 * MB)
    for name in ("one", "two"):
        node.request(name, name)
        node.ready()
    assert node.request("three", "three") == ""
    assert node.starting == []
    assert node.pool.statistics()["waiting"] == 1
    node.finish("one")
    assert node.evicted == ["one1"]
    node.ready()
    assert node.running["three"].name == "three3"


def test_memory_is_given_in_turn_by_function() -> None:
    node = Node(budget=MB)
    node.request("running", "z")
    node.ready()
    for index in range(3):
        node.request(f"a{index}", "a")
    node.request("b0", "b")
    node.finish("running")
    assert [environment.group.key for environment in node.starting] == ["a"]
    node.ready()
    node.now += FAIR_WAIT_S * 2
    # b has waited its time: a, with two more requests, gives way.
    node.finish("a0")
    assert [environment.group.key for environment in node.starting] == ["b"]
    node.ready()
    node.now += FAIR_WAIT_S * 2
    node.finish("b0")
    node.ready()
    assert list(node.running) == ["a1"]


def test_a_started_environment_serves_once_before_it_gives_way() -> None:
    node = Node(budget=MB)
    node.request("a0", "a")
    node.request("b0", "b")
    node.now += FAIR_WAIT_S * 2
    node.ready()
    assert list(node.running) == ["a0"]


def test_a_function_with_a_queue_keeps_its_environment_while_nobody_has_waited_long() -> None:
    node = Node(budget=MB)
    for name in ("a0", "a1"):
        node.request(name, "a")
    node.ready()
    node.request("b0", "b")
    node.finish("a0")
    assert list(node.running) == ["a1"]
    assert node.evicted == []


def test_room_made_elsewhere_leaves_the_freed_environment_to_its_own_queue() -> None:
    node = Node(budget=2 * MB)
    node.request("a0", "a")
    node.request("c0", "c")
    node.ready()
    node.ready()
    node.request("a1", "a")
    node.request("b0", "b")
    node.now += FAIR_WAIT_S * 2
    node.finish("c0")  # makes room for a's turn
    assert [environment.group.key for environment in node.starting] == ["a"]
    node.finish("a0")
    waiting = node.pool.statistics()["waiting"]
    node.ready()
    for _ in range(3):
        while node.starting:
            node.ready()
        for name in list(node.running):
            node.finish(name)
    assert waiting <= 2
    assert node.pool.statistics()["waiting"] == 0


def test_the_queue_for_memory_has_a_bound() -> None:
    node = Node(budget=MB, max_waiting=2)
    node.request("one")
    node.ready()
    node.request("two")
    node.request("three")
    with pytest.raises(QueueFull):
        node.request("four")
    assert node.pool.statistics()["waiting"] == 2


def test_a_function_larger_than_the_budget_runs_alone() -> None:
    node = Node(budget=MB // 2)
    node.request("one")
    assert len(node.starting) == 1
    node.request("two")
    assert len(node.starting) == 1


def test_a_failed_start_fails_the_oldest_request_that_nothing_else_starts_for() -> None:
    node = Node()
    node.request("one")
    node.request("two")
    job, decisions = node.pool.start_failed(node.starting.pop(0), 0.0)
    assert (job and job.name, decisions) == ("one", [])
    node.ready()
    assert list(node.running) == ["two"]
    assert node.pool.charged_mb == MB


def test_a_lost_environment_is_replaced_for_those_who_wait() -> None:
    node = Node(budget=2 * MB)
    for name in ("one", "two"):
        node.request(name)
        node.ready()
    node.request("three")
    assert node.starting == []
    node.act(node.pool.discard(node.running.pop("one"), 0.0))
    assert len(node.starting) == 1
    node.ready()
    assert set(node.running) == {"two", "three"}


def test_discarding_twice_frees_the_memory_once() -> None:
    node = Node()
    node.request("one")
    node.ready()
    environment = node.running.pop("one")
    node.act(node.pool.discard(environment, 0.0))
    node.act(node.pool.discard(environment, 0.0))
    assert (node.pool.charged_mb, node.pool.statistics()["groups"]) == (0, 0)


def test_retired_environments_finish_what_runs_and_serve_who_waits() -> None:
    node = Node(budget=2 * MB)
    for name in ("one", "two"):
        node.request(name)
        node.ready()
    node.request("three")
    node.finish("two")
    assert node.running["three"].name == "f2"
    node.act(node.pool.retire("f"))
    node.finish("one")
    assert node.evicted == ["f1"]
    node.finish("three")
    assert node.evicted == ["f1", "f2"]
    assert node.pool.statistics()["groups"] == 0


def test_retiring_throws_idle_environments_away_at_once() -> None:
    node = Node()
    node.request("one")
    node.ready()
    node.finish("one")
    node.act(node.pool.retire("f"))
    assert node.evicted == ["f1"]


def test_measured_memory_is_charged_and_evicts_when_over_the_budget() -> None:
    node = Node(budget=4 * MB)
    for function in ("a", "b"):
        node.request(function, function)
        node.ready()
    node.finish("a")
    node.pool.measured(node.running["b"], 5 * MB)
    node.act(node.pool.relieve(0.0))
    assert node.evicted == ["a1"]
    # The next of its kind is charged with what was seen.
    group = node.pool.find("b")
    assert group is not None
    assert group.charge() == 5 * MB


def test_a_function_seen_to_be_small_is_charged_little() -> None:
    node = Node(budget=10 * MB)
    node.request("one")
    node.ready()
    node.pool.measured(node.running["one"], 3)
    assert node.pool.charged_mb == LEAST_CHARGE_MB
    node.request("two")
    assert node.pool.charged_mb == 2 * LEAST_CHARGE_MB


def test_the_charge_never_exceeds_the_memory_size() -> None:
    pool: Pool[Env, Request] = Pool(1000)
    assert pool.group("small", 16, None, 0.0).charge() == 16


def test_an_abandoned_request_gives_up_its_place_in_the_queue_for_memory() -> None:
    node = Node(budget=MB)
    node.request("one", "a")
    node.ready()
    group = node.pool.group("b", 1024, None, 0.0)
    request = Request("two")
    assert node.pool.wait(group, request, 0.0) == []
    assert node.pool.abandon(group, request)
    node.finish("one")
    assert node.starting == []
    assert not node.pool.abandon(group, request)
