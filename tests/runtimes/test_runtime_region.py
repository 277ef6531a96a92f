"""Every runtime of this machine through a whole region: what the code finds around it is what Lambda shows."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lambent.runtimes.catalog import ROWS, Catalog
from tests.roles import ROLE

RUNTIMES = [spec.name for spec in Catalog(Path("/nonexistent")).available() if ROWS[spec.name].family != "provided"]

PYTHON = """
import os, sys
def handler(event, context):
    return {
        "version": "python%d.%d" % sys.version_info[:2],
        "runtime": os.environ["AWS_EXECUTION_ENV"],
        "path": sys.path[:4],
        "folder": os.getcwd(),
        "file": __file__,
        "variables": sorted(os.environ),
    }
"""

NODE = """
import { sep } from 'node:path';
import { marker } from 'shared';
export const handler = async () => ({
  version: `nodejs${process.versions.node.split('.')[0]}.x`,
  runtime: process.env.AWS_EXECUTION_ENV,
  marker,
  folder: process.cwd(),
  file: import.meta.url,
  variables: Object.keys(process.env).sort(),
});
"""

pytestmark = pytest.mark.slow


def invoke(region: Any, runtime: str, files: dict[str, str], **settings: Any) -> Any:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        for name, source in files.items():
            package.writestr(name, source)
    name = f"{runtime.replace('.', '-')}-{len(settings)}"
    client = region.client("lambda")
    client.create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler="app.handler",
        Role=ROLE,
        Timeout=20,
        MemorySize=256,
        Code={"ZipFile": archive.getvalue()},
        **settings,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    answer = client.invoke(FunctionName=name)
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


def files_of(runtime: str) -> dict[str, str]:
    if runtime.startswith("python"):
        return {"app.py": PYTHON}
    return {"app.mjs": NODE, "node_modules/shared/index.js": "exports.marker = 'bundled';"}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("settings", [{}, {"Environment": {"Variables": {"MALLOC_ARENA_MAX": "2"}}}], ids=["", "exec"])
def test_code_runs_by_its_own_interpreter_where_lambda_would_put_it(
    region: Any, runtime: str, settings: dict[str, Any]
) -> None:
    seen = invoke(region, runtime, files_of(runtime), **settings)
    assert seen["version"] == runtime
    assert seen["runtime"] == f"AWS_Lambda_{runtime}"
    assert seen["folder"].endswith("/task")
    assert "/task/app." in seen["file"]
    assert not [name for name in seen["variables"] if name.startswith("LAMBENT_") or name == "_LAMBDA_TELEMETRY_LOG_FD"]
    assert {"AWS_ACCESS_KEY_ID", "AWS_REGION", "LAMBDA_TASK_ROOT", "_X_AMZN_TRACE_ID"} <= set(seen["variables"])
