"""Writes docs/compatibility.md from the handlers: every operation of every served service, done or refused.

`python scripts/compatibility.py` rewrites the page; `--check` fails where it is not current.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import botocore
import botocore.session

import lambent.services

PAGE = Path(__file__).parent.parent / "docs" / "compatibility.md"
#: Folder below `services/` → name of the service's model.
SERVICES = {
    "lambda_": "lambda",
    "logs": "logs",
    "iam": "iam",
    "sts": "sts",
    "apigateway": "apigateway",
    "apigatewayv2": "apigatewayv2",
    "cloudwatch": "cloudwatch",
    "xray": "xray",
}

INTRODUCTION = """# Compatibility

Written by `python scripts/compatibility.py` from the handlers, beside the service models of botocore {version}; do not
edit. An operation that is not listed as done answers `NotImplemented` (HTTP 501) and names itself. Nothing is stored
and ignored: a parameter that is not acted on yet is refused with an error that says so.
"""


def main() -> int:
    text = page()
    if "--check" in sys.argv:
        if not PAGE.exists() or not is_current(PAGE.read_text(), text):
            print(f"{PAGE.name} is not current: run `python scripts/compatibility.py`.")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


def is_current(written: str, now: str) -> bool:
    """Equal; where the page was written beside models of another version, equal in what is done."""
    if written.startswith(INTRODUCTION.format(version=version())):
        return written == now
    return done_lines(written) == done_lines(now)


def done_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("**Done.**")]


def page() -> str:
    parts = [INTRODUCTION.format(version=version())]
    session = botocore.session.get_session()
    for folder, name in SERVICES.items():
        model = session.get_service_model(name)
        done = handlers(folder)
        known = set(model.operation_names)
        title = model.metadata.get("serviceId", name)
        parts.append(f"\n## {title}: {len(done & known)} of {len(known)} operations\n")
        parts.append(f"\n**Done.** {', '.join(sorted(done & known))}.\n")
        if known - done:
            parts.append(f"\n**Refused.** {', '.join(sorted(known - done))}.\n")
    return "".join(parts)


def version() -> str:
    return ".".join(botocore.__version__.split(".")[:2])


def handlers(folder: str) -> set[str]:
    """Names of the operations that classes below `services/<folder>` have methods for."""
    return {
        name
        for module in modules(importlib.import_module(f"{lambent.services.__name__}.{folder}"))
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__
        for name, _ in inspect.getmembers(cls, inspect.iscoroutinefunction)
        if name[0].isupper()
    }


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        yield importlib.import_module(found.name)


if __name__ == "__main__":
    sys.exit(main())
