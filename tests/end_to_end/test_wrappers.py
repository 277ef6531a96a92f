"""Wrapper scripts (AWS_LAMBDA_EXEC_WRAPPER) and the folders of layers that processes are found in."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from framework_bundles import Bundle, installed

from lambent.runtimes.catalog import Catalog
from tests.roles import ROLE

pytestmark = pytest.mark.slow

PYTHON = f"python3.{sys.version_info.minor}"
AVAILABLE = [spec.name for spec in Catalog(Path("/nonexistent")).available()]
NODE = next((name for name in AVAILABLE if name.startswith("nodejs")), "")
needs_node = pytest.mark.skipif(not NODE, reason="no Node runtime on this machine")
RUNTIMES = [pytest.param(PYTHON, id="python"), pytest.param(NODE, id="nodejs", marks=needs_node)]

PYTHON_CODE = """
import os, sys, subprocess

def handler(event, context):
    options = dict(sys._xoptions)
    return {"seen": os.environ.get("SEEN"), "handler": os.environ["_HANDLER"], "options": sorted(options),
            "tool": subprocess.run(["tool"], capture_output=True, text=True).stdout if event.get("tool") else None,
            "customized": getattr(sys, "customized", None), "pid": os.getpid(),
            "hidden": [name for name in os.environ if name.startswith("LAMBENT") or "TELEMETRY" in name]}

def other(event, context):
    return "other"
"""
NODE_CODE = """
const { execFileSync } = require('node:child_process');
exports.handler = async (event) => ({
  seen: process.env.SEEN ?? null,
  handler: process.env._HANDLER,
  options: process.execArgv.filter((option) => option.startsWith('--stack')),
  tool: event.tool ? execFileSync('tool').toString() : null,
  customized: globalThis.customized ?? null,
  hidden: Object.keys(process.env).filter((name) => name.startsWith('LAMBENT') || name.includes('TELEMETRY')),
});
exports.other = async () => 'other';
"""


def archive(files: dict[str, str], modes: dict[str, int] | None = None) -> bytes:
    """A package; what begins with `#!` may be executed unless `modes` says otherwise."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            mode = (modes or {}).get(name, 0o755 if text.startswith("#!") else 0o644)
            entry.external_attr = (0o100000 | mode) << 16
            package.writestr(entry, text)
    return buffer.getvalue()


class Maker:
    def __init__(self, region: Any) -> None:
        self.client = region.client("lambda")
        self.region = region

    def layer(self, name: str, files: dict[str, str], modes: dict[str, int] | None = None) -> str:
        content = {"ZipFile": archive(files, modes)}
        return str(self.client.publish_layer_version(LayerName=name, Content=content)["LayerVersionArn"])

    def function(self, name: str, runtime: str, variables: dict[str, str], layers: list[str], **more: Any) -> str:
        code = {"app.py": PYTHON_CODE} if runtime.startswith("python") else {"app.js": NODE_CODE}
        self.client.create_function(
            FunctionName=name,
            Runtime=runtime,
            Role=ROLE,
            Timeout=10,
            MemorySize=256,
            Layers=layers,
            Environment={"Variables": variables},
            **{"Handler": "app.handler", "Code": {"ZipFile": archive(code)}, **more},
        )
        self.client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400}
        )
        return name

    def call(self, name: str, event: Any = None) -> Any:
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps({} if event is None else event))
        return json.loads(answer["Payload"].read())

    def log(self, name: str) -> list[str]:
        events = self.region.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in events]


@pytest.fixture(scope="module")
def make(region: Any) -> Maker:
    return Maker(region)


def label(runtime: str) -> str:
    return runtime.replace(".", "-")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_wrapper_of_a_layer_changes_the_environment(make: Maker, runtime: str) -> None:
    script = '#!/bin/bash\nexport SEEN="$AWS_LAMBDA_FUNCTION_NAME $#"\nexec "$@"\n'
    layer = make.layer(f"environment-{label(runtime)}", {"wrapper": script})
    name = make.function(f"environment-{label(runtime)}", runtime, {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}, [layer])
    seen = make.call(name)
    assert seen["seen"].startswith(f"{name} ")
    assert seen["hidden"] == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_wrapper_may_name_another_handler(make: Maker, runtime: str) -> None:
    layer = make.layer(f"handler-{label(runtime)}", {"wrapper": '#!/bin/sh\n_HANDLER=app.other exec "$@"\n'})
    name = make.function(f"handler-{label(runtime)}", runtime, {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}, [layer])
    assert make.call(name) == "other"


#: As AWS's manual has it: before the last argument, which is the runtime's own script.
INSERTING = """#!/bin/bash
args=("$@")
extra_args=({options})
args=("${{args[@]:0:$#-1}}" "${{extra_args[@]}}" "${{args[@]: -1}}")
exec "${{args[@]}}"
"""


def test_a_wrapper_may_insert_options_of_the_interpreter(make: Maker) -> None:
    layer = make.layer("importtime", {"importtime_wrapper": INSERTING.format(options='"-X" "importtime"')})
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/importtime_wrapper"}
    name = make.function("importtime", PYTHON, variables, [layer])
    assert make.call(name)["options"] == ["importtime"]
    assert any(line.startswith("import time: ") for line in make.log(name))


@needs_node
def test_a_wrapper_may_insert_options_of_node(make: Maker) -> None:
    layer = make.layer("stack-size", {"wrapper": INSERTING.format(options='"--stack-trace-limit=7"')})
    name = make.function("stack-size", NODE, {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}, [layer])
    assert make.call(name)["options"] == ["--stack-trace-limit=7"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_wrapper_may_stay_and_run_the_runtime_as_its_child(make: Maker, runtime: str) -> None:
    script = '#!/bin/bash\necho "before $#"\n"$@"\ncode=$?\necho "after $code"\nexit $code\n'
    layer = make.layer(f"parent-{label(runtime)}", {"wrapper": script})
    name = make.function(f"parent-{label(runtime)}", runtime, {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}, [layer])
    assert make.call(name)["handler"] == "app.handler"
    assert make.call(name)["handler"] == "app.handler"
    assert any(line.startswith("before ") for line in make.log(name))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("place", "words", "code"),
    [("/opt/missing", "does not exist", 127), ("/opt/plain", "is not an executable", 126)],
    ids=["missing", "not executable"],
)
def test_a_wrapper_that_cannot_be_started_fails_in_awss_words(
    make: Maker, runtime: str, place: str, words: str, code: int
) -> None:
    layer = make.layer(f"plain-{label(runtime)}", {"plain": "#!/bin/sh\n"}, {"plain": 0o644})
    name = f"{code}-{label(runtime)}"
    make.function(name, runtime, {"AWS_LAMBDA_EXEC_WRAPPER": place}, [layer])
    error = make.call(name)
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith(f"Error: Runtime exited with error: exit status {code}")
    assert f"{place}: {words}" in [line.rstrip() for line in make.log(name)]


def test_a_wrapper_that_fails_ends_the_start_with_its_status(make: Maker) -> None:
    layer = make.layer("failing", {"wrapper": "#!/bin/sh\necho no licence\nexit 3\n"})
    name = make.function("failing", PYTHON, {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}, [layer])
    assert make.call(name)["errorMessage"].endswith("Runtime exited with error: exit status 3")
    assert "no licence" in [line.rstrip() for line in make.log(name)]


def test_a_wrapper_of_the_package_is_taken_too(make: Maker) -> None:
    files = {"app.py": PYTHON_CODE, "run": '#!/bin/sh\nSEEN=package exec "$@"\n'}
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/run"}
    name = make.function("of-package", PYTHON, variables, [], Code={"ZipFile": archive(files)})
    assert make.call(name)["seen"] == "package"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_empty_wrapper_is_none(make: Maker, runtime: str) -> None:
    name = make.function(f"empty-{label(runtime)}", runtime, {"AWS_LAMBDA_EXEC_WRAPPER": ""}, [])
    assert make.call(name)["handler"] == "app.handler"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_programs_of_layers_are_found(make: Maker, runtime: str) -> None:
    layer = make.layer(f"tools-{label(runtime)}", {"bin/tool": "#!/bin/sh\nprintf found\n"})
    name = make.function(f"tools-{label(runtime)}", runtime, {}, [layer])
    assert make.call(name, {"tool": True})["tool"] == "found"


def test_an_agent_of_a_layer_hooks_into_python_by_pythonpath(make: Maker) -> None:
    """As the wrappers of tracing agents do it."""
    files = {
        "agent/sitecustomize.py": "import sys\nsys.customized = 'by agent'\n",
        "wrapper": '#!/bin/sh\nPYTHONPATH="/opt/agent:$PYTHONPATH" exec "$@"\n',
    }
    layer = make.layer("agent", files)
    wrapped = make.function("agent-wrapped", PYTHON, {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}, [layer])
    assert make.call(wrapped)["customized"] == "by agent"
    named = make.function("agent-named", PYTHON, {"PYTHONPATH": "/opt/agent"}, [layer])
    assert make.call(named)["customized"] == "by agent"


#: As the wrapper of OpenTelemetry's own layer: its launcher execs the runtime with a `sitecustomize` before all else.
OPENTELEMETRY = """#!/bin/bash
export PYTHONPATH="/opt/python:$PYTHONPATH"
exec python3 /opt/python/bin/opentelemetry-instrument "$@"
"""


def test_opentelemetrys_launcher_instruments_a_function(make: Maker) -> None:
    packages = installed(Bundle("otel_layer.py", ("opentelemetry-distro", "opentelemetry-instrumentation-aws-lambda")))
    buffer = io.BytesIO(archive({"otel": OPENTELEMETRY}))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as layer:
        for path in packages.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                layer.write(path, f"python/{path.relative_to(packages)}")
    made = make.client.publish_layer_version(LayerName="otel", Content={"ZipFile": buffer.getvalue()})
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/otel", "OTEL_TRACES_EXPORTER": "console"}
    off = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    name = make.function("opentelemetry", PYTHON, {**variables, **off}, [made["LayerVersionArn"]])
    assert make.call(name)["handler"] == "app.handler"
    spans = "".join(make.log(name))
    assert '"kind": "SpanKind.SERVER"' in spans
    assert f'"cloud.resource_id": "arn:aws:lambda:us-east-1:000000000000:function:{name}"' in spans


@needs_node
def test_an_agent_of_a_layer_hooks_into_node_by_node_options(make: Maker) -> None:
    files = {
        "hook.cjs": "globalThis.customized = 'by agent';\n",
        "wrapper": '#!/bin/sh\nexport NODE_OPTIONS="--require /opt/hook.cjs"\nexec "$@"\n',
    }
    name = make.function(
        "node-agent", NODE, {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}, [make.layer("node-agent", files)]
    )
    assert make.call(name)["customized"] == "by agent"


BOOTSTRAP = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
  id=$(curl -s -D - -o /dev/null "$api/next" | tr -d "\\r" | sed -n "s/^lambda-runtime-aws-request-id: //Ip")
  curl -s -o /dev/null -d "\\"$1 $(tool) $SEEN\\"" "$api/$id/response"
done
"""


def test_a_custom_runtime_starts_its_bootstrap_without_the_wrapper(make: Maker) -> None:
    """AWS documents no wrappers for `provided`: the variable is the bootstrap's own matter."""
    files = {"bootstrap": BOOTSTRAP, "bin/tool": "#!/bin/sh\nprintf ran\n", "wrapper": "#!/bin/sh\nexit 9\n"}
    name = make.function(
        "custom",
        "provided.al2023",
        {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper", "SEEN": "seen"},
        [make.layer("custom", files)],
        Code={"ZipFile": archive({"readme": "nothing to run"})},
    )
    assert make.call(name) == " ran seen"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_wrapper_may_start_another_runtime_in_the_place_of_the_managed_one(make: Maker, runtime: str) -> None:
    """What the layer of AWS's Lambda Web Adapter does: /opt/bootstrap starts the handler, which is a program."""
    layer = make.layer(
        f"adapter-{label(runtime)}",
        {
            "bootstrap": '#!/bin/bash\nexec -- "$LAMBDA_TASK_ROOT/$_HANDLER" web\n',
            "bin/tool": "#!/bin/sh\nprintf ran\n",
        },
    )
    name = make.function(
        f"adapter-{label(runtime)}",
        runtime,
        {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap", "SEEN": "seen"},
        [layer],
        Handler="run.sh",
        Code={"ZipFile": archive({"run.sh": BOOTSTRAP})},
    )
    assert make.call(name) == "web ran seen"
    assert make.call(name) == "web ran seen"
