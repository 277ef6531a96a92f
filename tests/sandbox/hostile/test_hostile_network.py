"""The network as a function sees it: its own loopback, the region's endpoint, and nobody else's runtime."""

from __future__ import annotations

import json
import threading
import urllib.request

import pytest
from claims import CONFINED
from places import FULL, PATIENCE, Place
from region import Region, new_marker

pytestmark = pytest.mark.slow

RUNTIME_API = ("169.254.100.1", 9001)
NEXT = "/2018-06-01/runtime/invocation/next"


@pytest.mark.levels(*CONFINED)
def test_loopback_is_the_only_interface(region: Region) -> None:
    assert region.attempt("network.interfaces").got == ["lo"]


@pytest.mark.levels(*CONFINED)
def test_nothing_listens_but_the_runtime_api_and_the_endpoint(region: Region) -> None:
    assert set(region.attempt("network.listening").got) <= {9001, region.port}


@pytest.mark.levels(*CONFINED)
def test_no_abstract_socket_of_the_host_shows(region: Region) -> None:
    assert region.attempt("network.abstract_names").got == []


def test_the_region_answers_from_inside_at_its_own_address(region: Region) -> None:
    assert region.attempt("network.get", port=region.port, path="/_lambent/health").got == 200


@pytest.mark.levels(*CONFINED)
@pytest.mark.parametrize(
    "path", ["/_lambent/reset", "/_localstack/state/reset", "/_lambent//reset", "/_lambent/reset/"]
)
def test_the_region_cannot_be_reset_from_inside(region: Region, path: str) -> None:
    outcome = region.attempt("network.post", port=region.port, path=path)
    assert outcome.got in (403, 404), outcome
    assert region.invoke("neighbour", 1).payload == {"pong": 1}


def test_forwarding_headers_make_nobody_an_outsider(region: Region) -> None:
    headers = {"X-Forwarded-For": "127.0.0.1", "Host": "localhost", "Origin": f"http://127.0.0.1:{region.port}"}
    outcome = region.attempt("network.post", port=region.port, path="/_lambent/reset", headers=headers)
    assert outcome.got == 403, outcome


def test_a_listener_inside_takes_nothing_from_the_port_outside(region: Region) -> None:
    region.attempt("network.bind_everywhere", port=region.port)
    for _ in range(10):
        with urllib.request.urlopen(f"{region.url}/_lambent/health", timeout=5 * PATIENCE) as answer:
            assert "version" in json.load(answer)


@pytest.mark.levels(*CONFINED)
def test_the_runtime_api_of_another_environment_is_out_of_reach(region: Region) -> None:
    outcome = region.attempt("network.get", host=RUNTIME_API[0], port=RUNTIME_API[1], path=NEXT)
    assert outcome.refused is not None or outcome.got != 200, outcome


@pytest.mark.levels(*CONFINED)
def test_connections_held_open_leave_the_region_to_others(region: Region) -> None:
    holder = region.deploy(f"holder-{new_marker()[-8:]}", Timeout=60)
    held: list[int] = []
    client = region.new_client("lambda")

    def hold() -> None:
        event = {
            "attempt": "network.hold_connections",
            "arguments": {"host": "127.0.0.1", "port": region.port, "processes": 4, "seconds": 3600},
        }
        held.append(region.invoke(holder, event, client).got)

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join(60 * PATIENCE)
    assert held, "the function did not answer"
    assert held[0] > 100, "the attempt held hardly a connection"
    # What is held is held by live processes: a new connection and a new environment must still be had.
    assert region.invoke("neighbour", 1, region.new_client("lambda")).payload == {"pong": 1}
    fresh = region.deploy(f"fresh-{new_marker()[-8:]}", handler="hostile.ping")
    assert region.invoke(fresh, 2).payload == {"pong": 2}
    region.client.delete_function(FunctionName=holder)


@pytest.mark.native
@pytest.mark.levels(FULL)
def test_a_functions_own_credentials_reset_nothing(place: Place) -> None:
    region = Region(place, "--auth", "strict")
    try:
        region.make_role()
        region.deploy("signer", handler="signed.handler")
        for service in ("lambda", "sts"):
            outcome = region.invoke("signer", {"port": region.port, "path": "/_lambent/reset", "service": service})
            assert outcome.payload == 403, outcome
        assert region.client.list_functions()["Functions"]
    finally:
        region.stop()
