"""EFS access points: folders that the operator names, written and shared by functions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_helpers import Refusal, definition, zipped

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of folders are mapped by root")

INVALID = "InvalidParameterValueException"
ARN = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0"
OTHER = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef1"
VPC = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
SHARED = [{"Arn": ARN, "LocalMountPath": "/mnt/shared"}]
OWNER = 4321

SOURCE = """
import os

def handler(event, context):
    try:
        return eval(event)
    except OSError as error:
        return error.errno
"""


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The folder of the access point; the module's region is started with it."""
    made = tmp_path_factory.mktemp("efs") / "shared"
    made.mkdir()
    for name in ("given", "foreign"):
        (made / name).write_text("by the host")
        (made / name).chmod(0o600)
    for path in (made, made / "given"):
        os.chown(path, OWNER, OWNER)
    config = tmp_path_factory.mktemp("config") / "lambent.toml"
    config.write_text(naming(made))
    request.module.REGION_OPTIONS = ("--config", str(config))
    return made


def naming(folder: Path) -> str:
    return f'[efs]\n"{ARN}" = "{folder}"\n[vpc.subnets]\n"subnet-1" = "none"\n'


def run(client: Any, name: str, expression: str) -> Any:
    answer = client.invoke(FunctionName=name, Payload=json.dumps(expression))
    payload = json.load(answer["Payload"])
    assert "FunctionError" not in answer, payload
    return payload


@pytest.fixture
def make(client: Any) -> Callable[..., dict[str, Any]]:
    def run(name: str, **changes: Any) -> dict[str, Any]:
        parameters = {"Code": {"ZipFile": zipped({"app.py": SOURCE})}, "VpcConfig": VPC, "FileSystemConfigs": SHARED}
        created: dict[str, Any] = client.create_function(**definition(name, **{**parameters, **changes}))
        return created

    return run


@pytest.mark.slow
def test_functions_share_a_folder_that_stays(region: Any, client: Any, make: Callable[..., Any], folder: Path) -> None:
    assert make("writer")["FileSystemConfigs"] == SHARED
    make("reader", FileSystemConfigs=[{"Arn": ARN, "LocalMountPath": "/mnt/elsewhere"}])
    assert run(client, "writer", "open('/mnt/shared/new', 'w').write('by a function')") == 13
    assert run(client, "writer", "[os.makedirs('/mnt/shared/a/b'), os.rename('/mnt/shared/a/b', '/mnt/shared/c')]")
    assert run(client, "reader", "open('/mnt/elsewhere/new').read()") == "by a function"
    # One sandbox's user and another's are the same one here: the folder's owner.
    assert run(client, "reader", "open('/mnt/elsewhere/new', 'a').write('s')") == 1
    assert (folder / "new").read_text() == "by a functions"
    status = (folder / "new").stat()
    assert (status.st_uid, status.st_gid) == (OWNER, OWNER)
    assert run(client, "reader", "sorted(os.listdir('/mnt/elsewhere'))") == ["a", "c", "foreign", "given", "new"]
    assert run(client, "reader", "open('/mnt/elsewhere/given').read()") == "by the host"

    region.restart()
    again = region.client("lambda")
    assert run(again, "reader", "open('/mnt/elsewhere/new').read()") == "by a functions"
    again.update_function_configuration(FunctionName="writer", FileSystemConfigs=[])
    assert "FileSystemConfigs" not in again.get_function_configuration(FunctionName="writer")
    assert run(again, "writer", "os.listdir('/mnt')") == []


def test_a_mount_gives_nothing_else_away(region: Any, folder: Path) -> None:
    client = region.client("lambda")
    client.create_function(
        **definition(
            "hostile",
            Code={"ZipFile": zipped({"app.py": SOURCE})},
            VpcConfig=VPC,
            FileSystemConfigs=[{"Arn": ARN, "LocalMountPath": "/mnt/x"}],
        )
    )
    (folder.parent / "beside").write_text("secret")
    (folder / "out").symlink_to(folder.parent / "beside")
    missing, denied, read_only, not_permitted = 2, 13, 30, 1
    claims = {
        "os.listdir('/mnt')": ["x"],
        "os.mkdir('/mnt/more')": read_only,
        "os.rmdir('/mnt/x')": read_only,
        # Upwards there is the sandbox's own /mnt, and links mean its own root.
        "sorted(os.listdir('/mnt/x/..'))": ["x"],
        "open('/mnt/x/out').read()": missing,
        # What others own stays theirs, and shows as nobody's.
        "open('/mnt/x/foreign').read()": denied,
        "os.stat('/mnt/x/foreign').st_uid": 65534,
        "os.chown('/mnt/x/foreign', 993, 990)": not_permitted,
        "os.stat('/mnt/x').st_uid": 993,
        # No way to another user's rights, nor to devices.
        "os.mknod('/mnt/x/device', 0o60666, os.makedev(7, 0))": not_permitted,
        "os.chown('/mnt/x/given', 0, 0)": 22,
        "os.statvfs('/mnt/x').f_flag & (os.ST_NOSUID | os.ST_NODEV)": os.ST_NOSUID | os.ST_NODEV,
        "os.link('/var/task/app.py', '/mnt/x/code')": 18,
    }
    assert {expression: run(client, "hostile", expression) for expression in claims} == claims


def test_what_is_not_a_known_access_point_in_a_vpc_is_refused(region: Any) -> None:
    client = region.client("lambda")
    refused = Refusal(client)

    def creating(**changes: Any) -> tuple[int, str, str]:
        return refused(client.create_function, **definition("refused", **changes))

    assert creating(FileSystemConfigs=[{"Arn": OTHER, "LocalMountPath": "/mnt/x"}], VpcConfig=VPC) == (
        400,
        INVALID,
        f"The access point {OTHER} does not exist. "
        "The region's operator names access points in the table [efs] of its configuration file.",
    )
    assert creating(FileSystemConfigs=SHARED) == (
        400,
        INVALID,
        f"Function must be configured to execute in a VPC to reference access point {ARN}.",
    )
    client.create_function(**definition("placed", FileSystemConfigs=SHARED, VpcConfig=VPC))
    nowhere = {"SubnetIds": [], "SecurityGroupIds": []}
    assert refused(client.update_function_configuration, FunctionName="placed", VpcConfig=nowhere) == (
        400,
        INVALID,
        f"Function VPC configuration cannot be removed with access point {ARN} referenced.",
    )
    status, code, message = creating(FileSystemConfigs=[{"Arn": ARN, "LocalMountPath": "/mnt/.."}], VpcConfig=VPC)
    assert (status, code) == (400, INVALID), message


@pytest.mark.slow
def test_a_function_whose_access_point_is_gone_says_so(
    start_region: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "lambent.toml"
    config.write_text(naming(folder))
    region = start_region("--config", str(config))
    region.client("lambda").create_function(**definition("left", FileSystemConfigs=SHARED, VpcConfig=VPC))
    config.write_text("")
    client = region.restart().client("lambda")
    assert Refusal(client)(client.invoke, FunctionName="left") == (
        403,
        "EFSMountFailureException",
        f"The function could not mount the EFS file system with access point {ARN}.",
    )


@pytest.mark.slow
def test_a_folder_of_roots_keeps_the_region_from_starting(start_region: Callable[..., Any], tmp_path: Path) -> None:
    config = tmp_path / "lambent.toml"
    (tmp_path / "rooted").mkdir()
    config.write_text(naming(tmp_path / "rooted"))
    with pytest.raises(AssertionError, match="Functions write as its owner, which must not be root: chown 1000:1000"):
        start_region("--config", str(config))


@pytest.mark.slow
def test_where_nothing_can_be_mounted_it_is_refused(
    passable: Path, start_region: Callable[..., Any], folder: Path
) -> None:
    config = passable / "lambent.toml"
    config.write_text(naming(folder))
    client = start_region("--isolation", "process", "--config", str(config), data_dir=passable / "data").client(
        "lambda"
    )
    assert Refusal(client)(client.create_function, **definition("x", FileSystemConfigs=SHARED, VpcConfig=VPC)) == (
        400,
        INVALID,
        "FileSystemConfigs is not supported by this Lambent region: "
        "nothing can be mounted at the isolation level `process`.",
    )
