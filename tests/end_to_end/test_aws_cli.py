"""The main job with the stock `aws` CLI, version 2, as a new user would type it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
#: As a user of the command line writes it.
TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},'
    '"Action":"sts:AssumeRole"}]}'
)
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
CLI = next((path for path in ("/usr/bin/aws", shutil.which("aws")) if path and Path(path).exists()), None)


def is_version_2() -> bool:
    if CLI is None:
        return False
    return "aws-cli/2" in subprocess.run([CLI, "--version"], capture_output=True, text=True, check=False).stdout


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_version_2(), reason="the aws CLI of version 2 is not installed"),
]


class Shell:
    """Runs `aws` with what `lambent env` exports, and nothing else."""

    def __init__(self, region: Any) -> None:
        lines = subprocess.check_output(
            [sys.executable, "-m", "lambent.cli", "env", "--data-dir", str(region.data_dir)], text=True
        ).splitlines()
        exported = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
        self.exported = {name: value.strip("'\"") for name, value in exported.items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environ = {**kept, **self.exported, "AWS_PAGER": "", "HOME": str(region.data_dir.parent)}

    def command(self, *arguments: str) -> list[str]:
        assert CLI is not None
        return [CLI, "--endpoint-url", self.exported["AWS_ENDPOINT_URL"], *arguments]

    def aws(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def shell(region: Any, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = Shell(region)
    package = tmp_path_factory.mktemp("package") / "hello.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.write(EXAMPLES / "hello-node" / "index.js", "index.js")
    made = shell.aws("iam", "create-role", "--role-name", "cli", "--assume-role-policy-document", TRUST)
    assert made.returncode == 0, made.stderr
    attached = shell.aws("iam", "attach-role-policy", "--role-name", "cli", "--policy-arn", BASIC)
    assert attached.returncode == 0, attached.stderr
    role = json.loads(made.stdout)["Role"]["Arn"]
    created = shell.aws(
        *("lambda", "create-function", "--function-name", "hello", "--runtime", "nodejs20.x", "--role", role),
        *("--handler", "index.handler", "--zip-file", f"fileb://{package}"),
    )
    assert created.returncode == 0, created.stderr
    waited = shell.aws("lambda", "wait", "function-active-v2", "--function-name", "hello")
    assert waited.returncode == 0, waited.stderr
    return shell


def test_the_classic_node_function_says_hello_world(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    invoked = shell.aws("lambda", "invoke", "--function-name", "hello", "--payload", "e30=", str(out))
    assert invoked.returncode == 0, invoked.stderr
    assert json.loads(invoked.stdout) == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert json.loads(out.read_text()) == {"statusCode": 200, "body": '"Hello, World!"'}


def test_tail_follow_shows_an_invocation_while_it_runs(shell: Shell, tmp_path: Path) -> None:
    arguments = ("logs", "tail", "--follow", "--format", "short", "/aws/lambda/hello")
    assert shell.aws("lambda", "invoke", "--function-name", "hello", str(tmp_path / "first.json")).returncode == 0
    tail = subprocess.Popen(
        shell.command(*arguments), env=shell.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert tail.stdout is not None
        wait_for_line(tail.stdout, "REPORT RequestId:")
        # It follows now: what happens from here on must come by itself.
        assert shell.aws("lambda", "invoke", "--function-name", "hello", str(tmp_path / "next.json")).returncode == 0
        assert "Billed Duration" in wait_for_line(tail.stdout, "REPORT RequestId:")
    finally:
        tail.kill()
        tail.wait()


def wait_for_line(stream: Any, part: str) -> str:
    """Ends with the stream, so pytest's timeout is the only clock."""
    for line in stream:
        if part in line:
            return str(line)
    raise AssertionError(f"The output ended without {part!r}.")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "InvalidSignatureException"),
        ({"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}, "UnrecognizedClientException"),
    ],
)
def test_a_wrong_key_is_refused_and_learns_nothing(shell: Shell, changed: dict[str, str], code: str) -> None:
    answer = shell.aws("lambda", "list-functions", **changed)
    assert answer.returncode == 254
    assert f"({code})" in answer.stderr
    assert answer.stdout == ""


def test_an_unknown_function_is_named_in_the_error(shell: Shell) -> None:
    answer = shell.aws("lambda", "get-function", "--function-name", "absent")
    assert answer.returncode == 254
    assert "(ResourceNotFoundException)" in answer.stderr
    assert "Function not found: arn:aws:lambda:us-east-1:000000000000:function:absent" in answer.stderr


def test_concurrency_is_provisioned_and_waited_for(shell: Shell) -> None:
    def config(verb: str, *arguments: str) -> Any:
        answer = shell.aws(
            "lambda",
            f"{verb}-provisioned-concurrency-config",
            *("--function-name", "hello", "--qualifier", "1"),
            *arguments,
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout or "null")

    assert shell.aws("lambda", "publish-version", "--function-name", "hello").returncode == 0
    assert config("put", "--provisioned-concurrent-executions", "2")["Status"] == "IN_PROGRESS"
    ready = wait_until(lambda: (found := config("get"))["Status"] == "READY" and found)
    assert ready["AvailableProvisionedConcurrentExecutions"] == 2
    config("delete")
    answer = shell.aws("lambda", "get-provisioned-concurrency-config", "--function-name", "hello", "--qualifier", "1")
    assert "(ProvisionedConcurrencyConfigNotFoundException)" in answer.stderr
