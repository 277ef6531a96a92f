"""Who may do what when: the extensions of one environment, without processes or HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lambent.invoke.extensions import Extension, Extensions, Phase, Refusal, invoke_event
from lambent.invoke.launch import find_extensions, launch_fault


class Told:
    """An ExtensionEvents that remembers."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def extension_joined(self) -> None:
        self.words.append("joined")

    def extensions_registered(self) -> None:
        self.words.append("registered")

    def extensions_at_rest(self) -> None:
        self.words.append("at rest")


def pair(*names: str) -> tuple[Extensions, Told]:
    told = Told()
    return Extensions(names, told), told


def waits(extensions: Extensions, extension: Extension) -> list[bytes]:
    got: list[bytes] = []
    extensions.next(extension, got.append)
    return got


def test_init_waits_for_every_external_one_and_for_internal_ones_that_came() -> None:
    extensions, told = pair("a", "b")
    a = extensions.register("a", ["INVOKE"])
    assert told.words == []
    b = extensions.register("b", ["SHUTDOWN"])
    inner = extensions.register("inner", ["INVOKE"])
    assert told.words == ["registered", "joined"]
    for each in (a, b, inner):
        assert not extensions.are_at_rest
        waits(extensions, each)
    assert extensions.are_at_rest
    assert told.words[2:] == ["at rest"]


def test_only_who_asked_for_invocations_gets_them_and_is_waited_for() -> None:
    extensions, told = pair("a", "b")
    a, b = extensions.register("a", ["INVOKE"]), extensions.register("b", ["SHUTDOWN"])
    got_a, got_b = waits(extensions, a), waits(extensions, b)
    extensions.begin(b"event")
    assert (got_a, got_b, extensions.are_at_rest) == ([b"event"], [], False)
    assert (a.phase, b.phase) == (Phase.RUNNING, Phase.READY)
    waits(extensions, a)
    assert extensions.are_at_rest
    assert told.words == ["registered", "at rest", "at rest"]


def test_an_event_waits_for_who_lost_its_connection() -> None:
    extensions, _ = pair("a")
    a = extensions.register("a", ["INVOKE"])
    lost = waits(extensions, a)
    extensions.lost(a)
    extensions.begin(b"event")
    assert waits(extensions, a) == [b"event"]
    assert lost == []
    assert not extensions.are_at_rest


def test_who_asks_again_while_it_waits_is_refused() -> None:
    extensions, _ = pair("a")
    a = extensions.register("a", ["INVOKE"])
    waits(extensions, a)
    words = f"State transition from Ready to Ready failed for extension {a.id}. Error: State transition is not allowed"
    with pytest.raises(Refusal, match=words) as refusal:
        waits(extensions, a)
    assert refusal.value.kind == "Extension.InvalidExtensionState"


def test_after_an_error_nothing_more_is_heard_but_the_error_again() -> None:
    extensions, _ = pair("a", "b")
    a, b = extensions.register("a", ["INVOKE"]), extensions.register("b", ["INVOKE"])
    extensions.report(a, Phase.INIT_ERROR, "Extension.NoKey")
    extensions.report(a, Phase.INIT_ERROR, "Extension.Other")
    assert a.error_type == "Extension.NoKey"
    with pytest.raises(Refusal):
        waits(extensions, a)
    with pytest.raises(Refusal):
        extensions.report(a, Phase.EXIT_ERROR, "x")
    waits(extensions, b)
    with pytest.raises(Refusal):
        extensions.report(b, Phase.INIT_ERROR, "too late")
    extensions.report(b, Phase.EXIT_ERROR, "x")
    assert extensions.first_error == "Extension.InitError"


def test_an_external_one_registers_once_and_an_internal_one_before_init_ends() -> None:
    extensions, _ = pair("a")
    extensions.register("a", [])
    extensions.register("inner", [])
    for name, kind in (("a", "Extension.InvalidExtensionState"), ("inner", "Extension.InvalidExtensionState")):
        with pytest.raises(Refusal) as refusal:
            extensions.register(name, [])
        assert refusal.value.kind == kind
    extensions.close_registration()
    with pytest.raises(Refusal) as refusal:
        extensions.register("late", [])
    assert refusal.value.kind == "Extension.RegistrationClosed"


def test_the_shutdown_phase_has_the_time_that_aws_gives_it() -> None:
    assert pair()[0].shutdown_s == 0
    assert pair("a")[0].shutdown_s == 2
    extensions, _ = pair()
    extensions.register("inner", [])
    assert extensions.shutdown_s == 0.5
    extensions, _ = pair("a", "b", "gone")
    both = [extensions.register(name, ["SHUTDOWN"]) for name in ("a", "gone")]
    extensions.register("b", ["INVOKE"])
    both[1].has_ended = True
    assert extensions.shut_down(b"end") == [both[0]]
    # It is busy: it hears of it when it asks.
    assert waits(extensions, both[0]) == [b"end"]


def test_an_event_without_a_trace_says_nothing_of_one() -> None:
    assert json.loads(invoke_event(1, "r", "arn", "")) == {
        "eventType": "INVOKE", "deadlineMs": 1, "requestId": "r", "invokedFunctionArn": "arn",
    }  # fmt: skip


def layer(folder: Path, name: str, **files: int) -> Path:
    place = folder / name / "extensions"
    place.mkdir(parents=True)
    for file, mode in files.items():
        (place / file).touch()
        (place / file).chmod(mode)
    return folder / name


def test_extensions_are_the_files_that_merged_layers_show(tmp_path: Path) -> None:
    first = layer(tmp_path, "first", a=0o755, b=0o755)
    (first / "extensions" / "folder").mkdir()
    second = layer(tmp_path, "second", b=0o644, c=0o755)
    (second / "extensions" / "a").mkdir()
    found = find_extensions([first, second])
    assert found == {"b": second / "extensions" / "b", "c": second / "extensions" / "c"}
    fault = launch_fault(found)
    assert fault is not None
    assert (fault.name, fault.kind, fault.words) == (
        "b", "PermissionDenied", "fork/exec /opt/extensions/b: permission denied",
    )  # fmt: skip
    hides = tmp_path / "hides"
    hides.mkdir()
    (hides / "extensions").touch()
    assert find_extensions([first, hides]) == {}
    assert find_extensions([tmp_path / "none"]) == {}


def test_eleven_are_too_many(tmp_path: Path) -> None:
    ten = layer(tmp_path, "ten", **{f"e{number}": 0o755 for number in range(10)})
    assert launch_fault(find_extensions([ten])) is None
    fault = launch_fault(find_extensions([ten, layer(tmp_path, "one", f=0o755)]))
    assert fault is not None
    assert fault.kind == "TooManyExtensions"
