"""The one adapter between Lambent's transport and awslambdaric, AWS's own Python handler semantics.

awslambdaric finds the handler, makes the context object, (un)marshals and shapes errors and log lines; this module
hands it a client that answers over Lambent's channel. Speaks Python 3.8.
"""

import importlib
import json
import logging
import os
import sys
import time
from typing import Any, Callable, Dict, Optional, Protocol

import awslambdaric.bootstrap as ric
from awslambdaric.lambda_literals import lambda_unhandled_exception_warning_message
from awslambdaric.lambda_runtime_client import BaseLambdaRuntimeClient
from awslambdaric.lambda_runtime_exception import FaultException
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller, to_json

#: RAPID's limit: 6 MiB and 100 bytes.
MAX_RESPONSE_BYTES = 6291556
_TOO_LARGE = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."

#: Imported for awslambdaric; a function that bundles its own version of it must find that instead.
_PRIVATE_MODULES = tuple(name for name in sys.modules if name.partition(".")[0] == "simplejson")


class Sink(Protocol):
    def log(self, message: str, frame_type: Optional[bytes] = None) -> None: ...


class Replies(Protocol):
    """Lambent's side of the channel."""

    def response(self, payload: bytes) -> None: ...

    def error(self, error_type: str, payload: bytes) -> None: ...

    def init_error(self, error_type: str, payload: bytes) -> None: ...


class InitFailed(Exception):
    """The handler could not be loaded; it has been logged and reported."""


class _Client:
    """Stands where awslambdaric expects its Runtime API client."""

    def __init__(self, replies: Replies, sink: Sink) -> None:
        self._replies = replies
        self._sink = sink

    @property
    def marshaller(self) -> Any:
        # Read each time: functions may replace it on awslambdaric's class, a documented hook.
        return BaseLambdaRuntimeClient.marshaller

    def post_invocation_result(
        self, _invoke_id: str, result: Any, _content_type: str = "", _invocation_id: Optional[str] = None
    ) -> None:
        data = result if isinstance(result, bytes) else result.encode("utf-8")
        if len(data) <= MAX_RESPONSE_BYTES:
            self._replies.response(data)
            return
        self._sink.log(
            f"[ERROR] [{time.time_ns() // 1000000}] LAMBDA_RUNTIME Failed to post handler success response. "
            "Http response code: 413.\n"
        )
        error_type = "Function.ResponseSizeTooLarge"
        self._replies.error(error_type, _encode({"errorType": error_type, "errorMessage": _TOO_LARGE}))

    def post_invocation_error(
        self, _invoke_id: str, error: str, _xray_fault: str, _invocation_id: Optional[str] = None
    ) -> None:
        fields = json.loads(error)
        self._replies.error(fields["errorType"], _error_payload(fields))


class _Marshaller(LambdaMarshaller):  # type: ignore[misc]
    """Reads events with the standard library: the same values, and fast where simplejson has no C half."""

    def unmarshal_request(self, request: bytes, content_type: str = "application/json") -> Any:
        try:
            return json.loads(request)
        except ValueError:
            return super().unmarshal_request(request, content_type)


class HandlerRunner:
    """One function's handler and what awslambdaric needs to call it."""

    def __init__(self, replies: Replies, sink: Any) -> None:
        self._replies = replies
        self._sink = sink
        self._client = _Client(replies, sink)
        self._handler: Callable[[Any, Any], Any] = lambda event, context: None
        if "AWS_LAMBDA_LOG_FORMAT" in os.environ or "AWS_LAMBDA_LOG_LEVEL" in os.environ:
            # It reads both when imported, and a template imported it before there was a function.
            importlib.reload(ric)
        BaseLambdaRuntimeClient.marshaller = _Marshaller()
        ric._setup_logging(ric._AWS_LAMBDA_LOG_FORMAT, ric._AWS_LAMBDA_LOG_LEVEL, sink)
        for name in _PRIVATE_MODULES:
            sys.modules.pop(name, None)

    def load(self, handler: str) -> None:
        """Import the function; raises InitFailed after telling the server and the log."""
        try:
            self._handler = ric._get_handler(handler)
            return
        except FaultException as fault:
            error = ric.make_error(fault.msg, fault.exception_type, fault.trace)
        except Exception:  # the function's own, from its static code
            kind, value, trace = sys.exc_info()
            # Without this frame: awslambdaric leaves out its own at the top of a trace, up to the first of another.
            error = ric.build_fault_result((kind, value, trace.tb_next if trace else None), None)
        logging.warning(lambda_unhandled_exception_warning_message)
        ric.log_error(error, self._sink)
        self._replies.init_error(error["errorType"], _error_payload(error))
        raise InitFailed

    def hook_failed(self, error_type: str) -> None:
        """Report what a hook around the snapshot raised; called where it was caught."""
        kind, value, trace = sys.exc_info()
        error = ric.build_fault_result((kind, value, trace.tb_next if trace else None), None)
        ric.log_error(error, self._sink)
        self._replies.init_error(error_type, _error_payload(error))

    def invoke(
        self,
        request_id: str,
        deadline_ms: int,
        arn: str,
        trace_id: str,
        client_context: str,
        identity: str,
        tenant_id: str,
        payload: bytes,
    ) -> None:
        tenant = tenant_id or None
        ric._GLOBAL_AWS_REQUEST_ID = request_id
        ric._GLOBAL_TENANT_ID = tenant
        ric.update_xray_env_variable(trace_id or None)
        ric.handle_event_request(
            self._client,
            self._handler,
            request_id,
            payload,
            "application/json",
            client_context,
            identity,
            arn,
            deadline_ms,
            tenant,
            self._sink,
        )


def _error_payload(fields: Dict[str, Any]) -> bytes:
    if sys.version_info < (3, 9):
        # Recorded: python3.8 answers without it.
        fields.pop("requestId", None)
    return _encode(fields)


def _encode(fields: Dict[str, Any]) -> bytes:
    text: str = to_json(fields)
    return text.encode("utf-8", "backslashreplace")
