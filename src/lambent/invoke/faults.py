"""How an invocation can end badly: the error types and payloads of the platform, in one place.

A function's own error payload is opaque; these are the ones that Lambda makes on its behalf.
"""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass

from lambent.sandbox.spec import ExitStatus

#: Largest response (and request) payload: 6 MiB and a little, as AWS's own runtime supervisor counts it.
MAX_PAYLOAD = 6 * 1024 * 1024 + 100

SUCCESS = "success"
ERROR = "error"
FAILURE = "failure"
TIMEOUT = "timeout"

#: Signals by the words that AWS (a Go program) has for them.
_SIGNAL_WORDS = {
    signal.SIGABRT: "aborted",
    signal.SIGALRM: "alarm clock",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGHUP: "hangup",
    signal.SIGILL: "illegal instruction",
    signal.SIGINT: "interrupt",
    signal.SIGKILL: "killed",
    signal.SIGPIPE: "broken pipe",
    signal.SIGQUIT: "quit",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGSYS: "bad system call",
    signal.SIGTERM: "terminated",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGXCPU: "CPU time limit exceeded",
    signal.SIGXFSZ: "file size limit exceeded",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one invocation, before it becomes a record."""

    payload: bytes
    #: success | error | failure | timeout, as in InvocationRecord.
    status: str
    #: What REPORT names; None on success and on timeout.
    error_type: str | None = None


_VALID_ERROR_TYPE = re.compile(rb"(Runtime|Function)\.[A-Z][a-zA-Z]+")


def valid_error_type(text: bytes | None) -> str:
    """What a runtime calls its error, as far as AWS repeats it: a class of the function's own stays in the payload."""
    name = text or b""
    if _VALID_ERROR_TYPE.fullmatch(name):
        return name.decode()
    return "Function.Unknown" if name.startswith(b"Function.") else "Runtime.Unknown"


def function_error(error_type: str, payload: bytes) -> Outcome:
    """The function (or the runtime for it) said that it failed."""
    return Outcome(payload, ERROR, error_type)


def timed_out(request_id: str, timeout_s: float) -> Outcome:
    message = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
    return Outcome(_payload("Sandbox.Timedout", message), TIMEOUT, "Sandbox.Timedout")


def exited(request_id: str, status: ExitStatus | None) -> Outcome:
    """The runtime's process ended by itself; None where nobody knows how."""
    message = f"RequestId: {request_id} Error: {exit_words(status)}"
    # The payload's type stays what it always was; only the report names memory.
    kind = "Runtime.OutOfMemory" if status is not None and status.out_of_memory else "Runtime.ExitError"
    return Outcome(_payload("Runtime.ExitError", message), FAILURE, kind)


def crashed(payload: bytes) -> Outcome:
    """The runtime told of an error that it does not survive: the caller gets its words, the report its exit."""
    return Outcome(payload, FAILURE, "Runtime.ExitError")


def invalid_entrypoint(request_id: str, words: str) -> Outcome:
    """There was nothing that could be started."""
    kind = "Runtime.InvalidEntrypoint"
    return Outcome(_payload(kind, f"RequestId: {request_id} Error: {words}"), FAILURE, kind)


def response_too_large(most_bytes: int = MAX_PAYLOAD) -> Outcome:
    message = f"Response payload size exceeded maximum allowed payload size ({most_bytes} bytes)."
    kind = "Function.ResponseSizeTooLarge"
    return Outcome(_payload(kind, message), ERROR, kind)


def extension_failed(request_id: str, kind: str, words: str) -> Outcome:
    """An extension ended or could not be started, and the environment with it."""
    return Outcome(_payload(kind, f"RequestId: {request_id} Error: {words}"), FAILURE, kind)


def exit_words(status: ExitStatus | None) -> str:
    words = process_words(status)
    return f"Runtime exited with error: {words}" if words else "Runtime exited without providing a reason"


def process_words(status: ExitStatus | None) -> str:
    """How a process ended, "" where it did so in good order or nobody knows."""
    if status is None or (status.code == 0 and status.signal is None):
        return ""
    if status.signal is not None:
        return f"signal: {_SIGNAL_WORDS.get(status.signal, f'signal {status.signal}')}"  # type: ignore[call-overload]
    return f"exit status {status.code}"


def _payload(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}, separators=(",", ":")).encode()
