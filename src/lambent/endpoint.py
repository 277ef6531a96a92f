"""Where a running region is found: `<data-dir>/endpoint.json`, written by the region and read by its clients."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The file itself; `read` is for clients, the rest for the region."""

    path: Path

    @classmethod
    def of(cls, data_dir: Path) -> Endpoint:
        return cls(data_dir / "endpoint.json")

    def read(self) -> dict[str, Any] | None:
        """`url`, `pid` and `region` of the region that runs here, or None."""
        try:
            content: dict[str, Any] = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        # After kill -9 the file stays behind.
        return content if _is_running(content.get("pid")) else None

    def write(self, url: str, region: str) -> None:
        temporary = self.path.with_name("endpoint.json.new")
        temporary.write_text(json.dumps({"url": url, "pid": os.getpid(), "region": region}) + "\n")
        temporary.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _is_running(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, TypeError):
        return False
    return True


def url_of(host: str, port: int) -> str:
    """What a client on this machine connects to."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
