"""What the region says of itself: to people, to scripts that wait for it, and to tools made for LocalStack."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from typing import Any

import lambent
from lambent.clock import Clock
from lambent.edge.local import json_response
from lambent.request import Request, Response
from lambent.sandbox.spec import IsolationReport


class Health:
    """`/_lambent/health`."""

    def __init__(self, services: Sequence[str], region: str, isolation: IsolationReport | None) -> None:
        self._content: dict[str, Any] = {
            "status": "ok",
            "version": lambent.__version__,
            "region": region,
            "isolation": _isolation(isolation),
            "services": dict.fromkeys(services, "running"),
        }

    async def get(self, request: Request) -> Response:
        return json_response(self._content)


class LocalStackHealth:
    """`/_localstack/health`, in the words that its clients look for."""

    def __init__(self, services: Sequence[str]) -> None:
        self._content = {
            "services": dict.fromkeys(services, "running"),
            "edition": "community",
            "version": lambent.__version__,
        }

    async def get(self, request: Request) -> Response:
        return json_response(self._content)


class LocalStackInfo:
    """`/_localstack/info`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()

    async def get(self, request: Request) -> Response:
        return json_response(
            {
                "version": lambent.__version__,
                "edition": "community",
                "is_license_activated": False,
                "system": platform.system().lower(),
                "is_docker": False,
                "server_time_utc": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self._clock.now())),
                "uptime": int(self._clock.monotonic() - self._started),
            }
        )


class LocalStackInit:
    """`/_localstack/init`: every stage is done by the time that anything is answered."""

    async def get(self, request: Request) -> Response:
        completed = {"BOOT": True, "START": True, "READY": True, "SHUTDOWN": False}
        return json_response({"completed": completed, "scripts": []})


def _isolation(report: IsolationReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "level": report.level.value,
        "summary": report.summary,
        "network": report.network,
        "missing": [{"level": level, "reason": reason, "mend": mend} for level, reason, mend in report.missing],
    }
