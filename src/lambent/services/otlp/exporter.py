"""Spans of invocations on their way to a collector: gathered, sent in batches, and lost rather than in the way.

`record` stands on the path of every invocation and appends; a task looks once a second, and a thread of its own makes
spans of what came and talks to the collector. While that is away records wait, as many as there is room for.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
from asyncio import Task
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from lambent.invoke import tracing
from lambent.ports import FunctionVersion, InvocationRecord
from lambent.services.otlp.spans import request_of

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
#: Invocations of one request, and those that wait.
BATCH = 512
MOST_WAITING = 50_000
#: Attempts to send one batch, and seconds between the first two; each later pause is twice as long.
ATTEMPTS = 5
BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 30.0
TIMEOUT_S = 10.0
#: Seconds that a stop waits for what is left to be sent.
GRACE_S = 3.0
#: Seconds between two lines of log about what was lost.
SILENCE_S = 60.0
_PATH = "/v1/traces"
_MOST_ANSWER = 64 * 1024
#: What a collector answers when it is worth trying again.
_AGAIN = frozenset((429, 502, 503, 504))


class Refused(Exception):
    """A sentence: what the collector says of a batch. It is not sent again."""


class Unavailable(Exception):
    """A sentence: why the collector cannot be asked now."""


class SpanExporter:
    """Implements ports.RecordSink."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], *, sampled_only: bool) -> None:
        self._collector = Collector(endpoint, headers)
        self._sampled_only = sampled_only
        self._waiting: deque[InvocationRecord] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="otlp")
        self._task: Task[None] | None = None
        self._stopping = asyncio.Event()
        self._sent = 0
        self._lost = 0
        self._told = 0
        self._silent_until = 0.0

    def __repr__(self) -> str:
        return f"<SpanExporter to {self._collector.url}, {len(self._waiting)} waiting>"

    # ---- lifecycle

    async def start(self) -> None:
        self._task = asyncio.create_task(self._send_for_ever(), name="otlp export")

    async def stop(self) -> None:
        """After the last invocation; what the collector does not take soon is lost."""
        self._stopping.set()
        if self._task is not None:
            _, unfinished = await asyncio.wait([self._task], timeout=GRACE_S)
            for task in unfinished:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            self._task = None
        self._lose(len(self._waiting), "the region stops")
        self._waiting.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    # ---- ports.RecordSink

    def record(self, record: InvocationRecord) -> None:
        if self._sampled_only and tracing.SAMPLED not in record.trace_id:
            return
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(record)
        else:
            self._lost += 1

    def throttled(self, function: FunctionVersion, invoked_arn: str) -> None:
        """What did not run is no span."""

    def statistics(self) -> dict[str, int]:
        return {"waiting": len(self._waiting), "sent": self._sent, "lost": self._lost}

    # ---- the task

    async def _send_for_ever(self) -> None:
        while not self._stopping.is_set():
            await self._pause(INTERVAL_S)
            try:
                await self._send_all()
            except Exception:  # whatever it is, the next ones are sent all the same
                log.exception("Spans were not exported.")

    async def _send_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                await self._send(batch)
            except BaseException:
                self._lose(len(batch), "its export failed")
                raise

    async def _send(self, batch: Sequence[InvocationRecord]) -> None:
        """Returns once the collector has it, or it is given up."""
        loop = asyncio.get_running_loop()
        pause = BACKOFF_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                rejected = await loop.run_in_executor(self._thread, self._collector.export, batch)
            except Refused as refusal:
                self._lose(len(batch), str(refusal))
                return
            except Unavailable as trouble:
                if attempt == ATTEMPTS or self._stopping.is_set():
                    self._lose(len(batch), str(trouble))
                    return
                await self._pause(pause)
                pause = min(LONGEST_BACKOFF_S, 2 * pause)
                continue
            self._sent += len(batch) - rejected
            self._lose(rejected, "it rejected them")
            return

    async def _pause(self, seconds: float) -> None:
        """Until then, or until the region stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _lose(self, count: int, reason: str) -> None:
        """One line of log a minute says how many, with the reason of the last ones."""
        self._lost += count
        now = asyncio.get_running_loop().time()
        if count and now >= self._silent_until:
            self._silent_until = now + SILENCE_S
            lost, self._told = self._lost - self._told, self._lost
            log.warning("%d spans did not get to the collector %s: %s", lost, self._collector.url, reason)


class Collector:
    """One connection to it; blocks, so it is used in a thread."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(endpoint)
        path = parts.path.rstrip("/")
        self._target = path if path.endswith(_PATH) else path + _PATH
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{self._target}"
        self._headers = {"content-type": "application/json", "user-agent": "lambent", **headers}
        self._connection: http.client.HTTPConnection | None = None

    def export(self, batch: Sequence[InvocationRecord]) -> int:
        """Send it. How many of it the collector rejected. Raises Refused or Unavailable."""
        body = request_of(batch)
        try:
            status, answer = self._post(body)
        except (OSError, http.client.HTTPException) as error:
            self._close()
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        if status in _AGAIN:
            raise Unavailable(f"it answers {status}")
        if status >= 300:
            raise Refused(f"it answers {status}: {answer[:200].decode('utf-8', 'replace')!r}")
        return min(len(batch), _rejected(answer))

    def _post(self, body: bytes) -> tuple[int, bytes]:
        for fresh in (self._connection is None, True):
            if self._connection is None:
                self._connection = self._connect()
            try:
                self._connection.request("POST", self._target, body, self._headers)
                response = self._connection.getresponse()
                answer = response.read(_MOST_ANSWER)
                if response.read(1):
                    self._close()
                return response.status, answer
            except (OSError, http.client.HTTPException):
                self._close()
                if fresh:
                    raise
                # The collector had closed it since the last batch.
        raise AssertionError("a fresh connection answers or fails")

    def _connect(self) -> http.client.HTTPConnection:
        made = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return made(self._host, self._port, timeout=TIMEOUT_S)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _rejected(answer: bytes) -> int:
    """Spans that a partial success leaves out."""
    try:
        return max(0, int(json.loads(answer or b"{}")["partialSuccess"].get("rejectedSpans") or 0))
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0
