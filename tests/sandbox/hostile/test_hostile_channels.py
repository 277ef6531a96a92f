"""Frames, log messages and descriptors made by hand: the server takes them for what they are and stays as it was."""

from __future__ import annotations

import pytest
from region import Region, new_marker, until

pytestmark = [pytest.mark.slow, pytest.mark.native]

MIB = 1024 * 1024
FORGER = "forger"

ATTACKS = {
    "a frame of unknown type": ("channels.send_frame", {"kind": "?", "body": "x"}),
    "an empty frame": ("channels.send_bytes", {"hexadecimal": "00000000"}),
    "a length of four gigabytes": ("channels.send_bytes", {"hexadecimal": "ffffffff53"}),
    "a length of four gigabytes, and many of them": ("channels.promise_a_giant", {"megabytes": 64}),
    "a frame that is cut off": ("channels.send_bytes", {"hexadecimal": "0000000a537b"}),
    "a response that is no JSON": ("channels.send_frame", {"kind": "S", "body": "{not json"}),
    "an error without a type": ("channels.send_frame", {"kind": "E", "body": ""}),
    "an error that is no JSON": ("channels.send_frame", {"kind": "E", "body": "Type\0{not json"}),
    "an error of a giant type": ("channels.send_frame", {"kind": "E", "body": "T" * 100_000 + "\0{}"}),
    "a second READY": ("channels.send_frame", {"kind": "R"}),
    "an init error after init": ("channels.send_frame", {"kind": "X", "body": "Type\0{}"}),
    "a frame of the server's": ("channels.send_frame", {"kind": "I", "body": "{}"}),
    "fifty thousand frames": ("channels.send_frame", {"kind": "R", "times": 50_000}),
    "fifty thousand responses": (
        "channels.send_frame",
        {"kind": "S", "body": "1", "times": 50_000},
    ),
    "a piece of no stream": ("channels.send_frame", {"kind": "P", "body": "x"}),
    "an end of no stream": ("channels.send_frame", {"kind": "Z", "body": "Type\0{}"}),
    "a stream of a giant type": ("channels.send_frame", {"kind": "B", "body": "t" * 100_000}),
    "fifty thousand streams": ("channels.send_frame", {"kind": "B", "times": 50_000}),
    "open descriptors": ("channels.pass_descriptors", {"times": 50}),
    "a closed channel": ("channels.close_and_hang", {}),
    "a log message of four gigabytes": ("channels.log_frame", {"length": 0xFFFFFFFF}),
    "a log message of wrong magic": ("channels.log_frame", {"length": 6, "magic": 0x12345678}),
    "a log message of the far future": ("channels.log_frame", {"length": 6, "timestamp": 2**64 - 1}),
    "a log message without a body": ("channels.log_frame", {"length": 0, "body": ""}),
    "log noise": ("channels.log_noise", {"megabytes": 4}),
    "a log message of fifty megabytes": ("channels.log_giant", {"megabytes": 50}),
}


@pytest.fixture
def forger(region: Region) -> str:
    try:
        region.client.get_function_configuration(FunctionName=FORGER)
    except region.client.exceptions.ResourceNotFoundException:
        region.deploy(FORGER, Timeout=3)
    return FORGER


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_server_survives(region: Region, forger: str, attack: str) -> None:
    region.invoke("neighbour", 0)
    memory, descriptors = region.resident_memory(), region.open_descriptors()
    attempt, arguments = ATTACKS[attack]
    region.attempt(attempt, forger, **arguments)
    assert region.invoke("neighbour", attack).payload == {"pong": attack}
    assert region.resident_memory() - memory < 48 * MIB
    until(lambda: region.open_descriptors() <= descriptors + 24, f"the descriptors are about {descriptors} again")
    # Whatever became of the environment, the function's next caller gets his own answer.
    name = new_marker()
    assert region.attempt("files.leave", forger, name=name, text="").got == name


def test_a_stray_response_never_answers_the_next_invocation(region: Region, forger: str) -> None:
    """The forged frame answers its own invocation; the handler's true answer is then one too many."""
    for _ in range(5):
        region.attempt("channels.send_frame", forger, kind="S", body='{"got": "forged"}')
        name = new_marker()
        assert region.attempt("files.leave", forger, name=name, text="").got == name
