"""Applications of real frameworks with their packages as PyPI and npm ship them, installed once and zipped."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "frameworks"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "frameworks"
PYTHON = f"python3.{sys.version_info.minor}"


@dataclass(frozen=True)
class Bundle:
    #: Of the application's file in the folder `frameworks`, and what the handler's module is called.
    source: str
    packages: tuple[str, ...]
    #: The adapter looks at the last of repeated headers only, where an event (format 1.0) tells them apart.
    last_header_only: bool = False

    @property
    def is_python(self) -> bool:
        return self.source.endswith(".py")

    @property
    def handler(self) -> str:
        return f"{self.source.partition('.')[0]}.handler"


BUNDLES = {
    "FastAPI with Mangum": Bundle("fastapi_app.py", ("fastapi", "mangum", "python-multipart")),
    "Flask with apig-wsgi": Bundle("flask_app.py", ("flask", "apig-wsgi")),
    "Django with serverless-wsgi": Bundle("django_app.py", ("django", "serverless-wsgi"), last_header_only=True),
    "Express with serverless-express": Bundle(
        "express_app.js", ("express", "@codegenie/serverless-express", "multer", "cookie-parser")
    ),
    "Fastify": Bundle("fastify_app.js", ("fastify", "@fastify/aws-lambda", "@fastify/multipart", "@fastify/cookie")),
    "Hono": Bundle("hono_app.mjs", ("hono",)),
}


def runtime_of(bundle: Bundle) -> str:
    """A runtime of this machine for the bundle; skips where there is none."""
    if bundle.is_python:
        return PYTHON
    command = [str(Path(sys.executable).with_name("lambent")), "runtimes", "list", "--json"]
    found = json.loads(subprocess.check_output(command))
    names = [row["name"] for row in found if row["available"] and row["name"].startswith("nodejs")]
    if not names:
        pytest.skip("no Node runtime on this machine")
    return str(names[-1])


def packed(bundle: Bundle) -> bytes:
    """The zip of the application and its packages; skips where they cannot be had."""
    packages = installed(bundle)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(HERE / bundle.source, bundle.source)
        for path in sorted(packages.rglob("*")):
            if path.is_file() and not {"__pycache__", "bin", ".bin"}.intersection(path.parts):
                archive.write(path, path.relative_to(packages))
    return buffer.getvalue()


def installed(bundle: Bundle) -> Path:
    folder = CACHE / f"{bundle.source.partition('_')[0]}-{PYTHON if bundle.is_python else 'node'}"
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        _install(bundle, making)
        making.rename(folder)
    return folder


def _install(bundle: Bundle, folder: Path) -> None:
    if bundle.is_python:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *bundle.packages]
    elif shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    else:
        (folder / "package.json").write_text('{"private": true}')
        command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *bundle.packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} could not install {', '.join(bundle.packages)}: {done.stderr.strip()[-300:]}")
