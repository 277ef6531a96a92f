"""The extensions of one environment: who they are, what each may do next, and for whom the platform waits.

External ones are the programs in /opt/extensions; internal ones register from within the runtime's process before its
init is over. This knows neither processes nor HTTP: `extensions_api` speaks for them, the environment decides what
their end or their silence means.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from lambent.ids import request_id

#: Internal and external ones together.
MOST = 10
INVOKE, SHUTDOWN = "INVOKE", "SHUTDOWN"
#: Time for the shutdown phase, where an internal extension is registered and where there is an external one.
INTERNAL_SHUTDOWN_S = 0.5
EXTERNAL_SHUTDOWN_S = 2.0

#: Gives an event, as JSON, to an extension that waits for the next.
Take = Callable[[bytes], None]


class Phase(enum.Enum):
    """What an extension may do next. The values are AWS's names, which its messages and log lines give."""

    STARTED = "Started"
    REGISTERED = "Registered"
    #: Waits for an event.
    READY = "Ready"
    #: Works on one.
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    LAUNCH_ERROR = "LaunchError"


class Refusal(Exception):
    """A request that the Extensions API answers with 403; `kind` is AWS's error type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ExtensionEvents(Protocol):
    """What an environment is told of its extensions."""

    def extension_joined(self) -> None:
        """An internal one registered: there are extensions from now on."""

    def extensions_registered(self) -> None:
        """Every external one has registered: the runtime may start."""

    def extensions_at_rest(self) -> None:
        """All of those that were waited for are at next."""


class Extension:
    def __init__(self, name: str, *, external: bool) -> None:
        self.name = name
        self.is_external = external
        #: What it names itself with in every request but the first.
        self.id = request_id()
        self.phase = Phase.STARTED
        self.events: Sequence[str] = ()
        #: What it (or its launch) failed with.
        self.error_type: str | None = None
        self.has_ended = False
        #: Invariant: `take` is set only while READY, `pending` only while `take` is not.
        self.take: Take | None = None
        self.pending: bytes | None = None

    def __repr__(self) -> str:
        return f"<Extension {self.name!r} {self.phase.value}{' ended' if self.has_ended else ''}>"

    def refuse(self, target: Phase, label: str) -> Refusal:
        return Refusal(
            "Extension.InvalidExtensionState",
            f"State transition from {self.phase.value} to {target.value} failed for extension {label}. "
            "Error: State transition is not allowed",
        )

    def give(self, event: bytes) -> None:
        """Now, or when it asks for the next."""
        if self.take is None:
            self.pending = event
            return
        take, self.take = self.take, None
        self.phase = Phase.RUNNING
        take(event)


class Extensions:
    """Those of one runtime process; a reset begins with new ones."""

    def __init__(self, external: Sequence[str], listener: ExtensionEvents) -> None:
        self._listener = listener
        self._all = [Extension(name, external=True) for name in external]
        self._is_open = True
        #: Whom the phase under way waits for: at init everyone, in an invocation those who asked for its events.
        self._awaited = set(self._all)
        #: Type of the error that an extension reported first: what its exit is then called.
        self.first_error: str | None = None

    def __repr__(self) -> str:
        return f"<Extensions {self._all} waiting for {len(self._awaited)}>"

    def __iter__(self) -> Iterator[Extension]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def are_at_rest(self) -> bool:
        return not self._awaited

    @property
    def shutdown_s(self) -> float:
        """Time for the shutdown phase."""
        if any(extension.is_external for extension in self._all):
            return EXTERNAL_SHUTDOWN_S
        return INTERNAL_SHUTDOWN_S if self._all else 0.0

    # ---- what extensions ask ----

    def find(self, identifier: str) -> Extension | None:
        return next((each for each in self._all if each.id == identifier and each.phase is not Phase.STARTED), None)

    def register(self, name: str, events: Sequence[str]) -> Extension:
        """Raises Refusal."""
        extension = next((each for each in self._all if each.name == name), None)
        external = extension is not None and extension.is_external
        for event in events:
            if event not in (INVOKE, SHUTDOWN):
                raise Refusal("Extension.InvalidEventType", f"{event[:100]}: ErrorInvalidEventType")
            if event == SHUTDOWN and not external:
                words = "ShutdownEventNotSupportedForInternalExtension"
                raise Refusal("Extension.InvalidEventType", f"{event}: {words}")
        if extension is None:
            extension = self._admit(name)
        elif not external:
            raise Refusal("Extension.InvalidExtensionState", "Extension with this name already registered")
        elif extension.phase is not Phase.STARTED:
            raise extension.refuse(Phase.REGISTERED, name)
        extension.phase = Phase.REGISTERED
        extension.events = tuple(dict.fromkeys(events))
        if external:
            if all(each.phase is not Phase.STARTED for each in self._all if each.is_external):
                self._listener.extensions_registered()
        else:
            self._listener.extension_joined()
        return extension

    def _admit(self, name: str) -> Extension:
        """An internal one."""
        if not self._is_open:
            raise Refusal("Extension.RegistrationClosed", "Extension registration closed already")
        if len(self._all) >= MOST:
            raise Refusal("Extension.TooManyExtensions", f"Extension limit ({MOST}) reached")
        extension = Extension(name, external=False)
        self._all.append(extension)
        self._awaited.add(extension)
        return extension

    def next(self, extension: Extension, take: Take) -> None:
        """It waits for an event. Raises Refusal."""
        waits = extension.phase is Phase.READY and extension.take is not None
        if waits or extension.phase not in (Phase.REGISTERED, Phase.READY, Phase.RUNNING):
            raise extension.refuse(Phase.READY, extension.id)
        comes_back = extension.phase is not Phase.READY
        extension.phase = Phase.READY
        extension.take = take
        if extension.pending is not None:
            # It asked late, or its last connection broke.
            event, extension.pending = extension.pending, None
            extension.give(event)
        elif comes_back and extension in self._awaited:
            self._awaited.discard(extension)
            if not self._awaited:
                self._listener.extensions_at_rest()

    def lost(self, extension: Extension) -> None:
        """The connection that it waited on is gone; it may ask again on another."""
        extension.take = None

    def report(self, extension: Extension, phase: Phase, error_type: str) -> None:
        """It tells of an error of init or exit, after which it has nothing more to do but end. Raises Refusal."""
        if extension.phase is phase:
            return
        legal = (Phase.REGISTERED,) if phase is Phase.INIT_ERROR else (Phase.REGISTERED, Phase.READY, Phase.RUNNING)
        if extension.phase not in legal:
            raise extension.refuse(phase, extension.id)
        extension.phase, extension.error_type, extension.take = phase, error_type, None
        if self.first_error is None:
            self.first_error = "Extension.InitError" if phase is Phase.INIT_ERROR else "Extension.ExitError"

    # ---- what the platform does ----

    def close_registration(self) -> None:
        """The runtime is initialised."""
        self._is_open = False

    def begin(self, event: bytes) -> None:
        """An invocation, for those who asked for it."""
        called = [extension for extension in self._all if INVOKE in extension.events]
        self._awaited = set(called)
        for extension in called:
            extension.give(event)

    def fail_launch(self, name: str, error_type: str) -> None:
        """It could not be started."""
        extension = Extension(name, external=True)
        extension.phase, extension.error_type, extension.has_ended = Phase.LAUNCH_ERROR, error_type, True
        self._all = [each for each in self._all if each.name != name] + [extension]

    def shut_down(self, event: bytes) -> list[Extension]:
        """Tell those who want to know; returns them: they have time to end by themselves."""
        told = [each for each in self._all if SHUTDOWN in each.events and not each.has_ended]
        for extension in told:
            extension.give(event)
        return told


def invoke_event(deadline_ms: int, request: str, arn: str, trace: str) -> bytes:
    fields: dict[str, object] = {
        "eventType": INVOKE,
        "deadlineMs": deadline_ms,
        "requestId": request,
        "invokedFunctionArn": arn,
    }
    if trace:
        fields["tracing"] = {"type": "X-Amzn-Trace-Id", "value": trace}
    return json.dumps(fields, separators=(",", ":")).encode()


def shutdown_event(deadline_ms: int, reason: str) -> bytes:
    fields = {"eventType": SHUTDOWN, "deadlineMs": deadline_ms, "shutdownReason": reason}
    return json.dumps(fields, separators=(",", ":")).encode()
