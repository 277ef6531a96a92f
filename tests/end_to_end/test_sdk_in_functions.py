"""Functions that call AWS with the SDK that Lambda brings along: it is not in their package, and finds the region."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from typing import Any

import pytest

from tests.roles import allowing, make_role

PYTHON = """
import os
import boto3
def handler(event, context):
    client, functions = boto3.client("sts"), boto3.client("lambda")
    told = {"arn": client.get_caller_identity()["Arn"], "version": boto3.__version__, "file": boto3.__file__}
    told["functions"] = functions.get_account_settings()["AccountUsage"]["FunctionCount"]
    try:
        functions.list_functions()
    except functions.exceptions.ClientError as error:
        told["refusal"] = str(error)
    return told
"""

NODE = """
const { STSClient, GetCallerIdentityCommand } = require('@aws-sdk/client-sts');
const { LambdaClient, GetAccountSettingsCommand, ListFunctionsCommand } = require('@aws-sdk/client-lambda');
exports.handler = async () => {
  const answer = await new STSClient({}).send(new GetCallerIdentityCommand({}));
  const client = new LambdaClient({});
  const functions = (await client.send(new GetAccountSettingsCommand({}))).AccountUsage.FunctionCount;
  const refusal = await client.send(new ListFunctionsCommand({})).catch((error) => `${error.name}: ${error.message}`);
  return { arn: answer.Arn, file: require.resolve('@aws-sdk/client-sts'), functions, refusal };
};
"""

NODE_MODULE = """
import { STSClient, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
export const handler = async () => ({ arn: (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn });
"""

OWN_BOTO3 = {
    "app.py": "import boto3\ndef handler(event, context):\n    return boto3.NAME\n",
    "boto3/__init__.py": "NAME = 'the package has its own'\n",
}

pytestmark = pytest.mark.slow


def create(region: Any, name: str, runtime: str, handler: str, files: dict[str, str]) -> str:
    client = region.client("lambda")
    client.create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler=handler,
        Role=make_role(region, "sdk-caller", inline=allowing("lambda:GetAccountSettings")),
        Timeout=30,
        MemorySize=512,
        Code={"ZipFile": zipped(files)},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    return name


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def invoke(region: Any, name: str) -> Any:
    answer = region.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    payload = json.loads(answer["Payload"].read())
    assert answer.get("FunctionError") is None, payload
    return payload


def python_runtime() -> str:
    return f"python3.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def node_runtime(region: Any) -> str:
    """The runtime of the host's Node, with the SDK that `lambent runtimes install` fetches for it once."""
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    major = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.split(".")[0][1:]
    runtime = f"nodejs{major}.x"
    done = subprocess.run(
        [sys.executable, "-m", "lambent.cli", "runtimes", "install", runtime, "--data-dir", str(region.data_dir)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    if done.returncode != 0 and ("EAI_AGAIN" in said or "ENOTFOUND" in said or "ECONNREFUSED" in said):
        pytest.skip("The Node SDK cannot be fetched: no package index is reached")
    assert done.returncode == 0, said
    return runtime


def assert_acts_as_its_role(told: Any, function: str) -> None:
    assert_arn(told["arn"], function)
    assert told["functions"] >= 1
    assert "AccessDeniedException" in told["refusal"]
    assert f"assumed-role/sdk-caller/{function} is not authorized to perform: lambda:ListFunctions" in told["refusal"]


def assert_arn(arn: str, function: str) -> None:
    assert arn == f"arn:aws:sts::000000000000:assumed-role/sdk-caller/{function}"


def test_a_python_function_asks_sts_who_it_is(region: Any) -> None:
    name = create(region, "asks-python", python_runtime(), "app.handler", {"app.py": PYTHON})
    assert_acts_as_its_role(invoke(region, name), name)


def test_boto3_of_the_package_comes_before_the_runtimes(region: Any) -> None:
    name = create(region, "own-boto3", python_runtime(), "app.handler", OWN_BOTO3)
    assert invoke(region, name) == "the package has its own"


def test_a_node_function_asks_sts_who_it_is(region: Any, node_runtime: str) -> None:
    name = create(region, "asks-node", node_runtime, "index.handler", {"index.js": NODE})
    assert_acts_as_its_role(invoke(region, name), name)


def test_a_node_module_imports_the_sdk(region: Any, node_runtime: str) -> None:
    name = create(region, "asks-node-module", node_runtime, "index.handler", {"index.mjs": NODE_MODULE})
    assert_arn(invoke(region, name)["arn"], name)
