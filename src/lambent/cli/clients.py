"""boto3 clients of the running region: the command line is a client like any other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lambent.cli.common import Failure, running_region

#: A function may run for fifteen minutes.
SETTINGS = Config(read_timeout=920, retries={"total_max_attempts": 1})


@contextlib.contextmanager
def client(service: str, data_dir: Path | None) -> Iterator[Any]:
    """Raises Failure where no region runs, and for whatever AWS error comes out of the block."""
    region = running_region(data_dir)
    # The service is a name at run time; the stubs know one type per literal.
    session: Any = boto3.Session(region.access_key_id, region.secret_access_key, region_name=region.region)
    try:
        yield session.client(service, endpoint_url=region.url, config=SETTINGS)
    except ClientError as error:
        raise Failure(f"{error.response['Error']['Message']} ({error.response['Error']['Code']})") from error
    except BotoCoreError as error:
        raise Failure(str(error)) from error
