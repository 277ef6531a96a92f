"""boto3 clients of the running region: the command line is a client like any other."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from lambent.cli.common import Failure, running_region

#: A function may run for fifteen minutes.
SETTINGS = Config(read_timeout=920, retries={"total_max_attempts": 1})

OPERATOR_SECONDS = 30


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


def operator_call(method: str, path: str, data_dir: Path | None, content: Any = None) -> Any:
    """The JSON answer of one of Lambent's own calls, signed with the root key. Raises Failure with what it refuses."""
    region = running_region(data_dir)
    body = b"" if content is None else json.dumps(content).encode()
    request = AWSRequest(method, region.url + path, data=body)
    SigV4Auth(Credentials(region.access_key_id, region.secret_access_key), "lambent", region.region).add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(region.url).netloc, timeout=OPERATOR_SECONDS)
    try:
        connection.request(method, path, body, dict(request.headers.items()))
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Failure(f"The region at {region.url} does not answer: {error}.") from None
    finally:
        connection.close()
    if response.status >= 300:
        raise Failure(str(answer.get("message") or answer))
    return answer
