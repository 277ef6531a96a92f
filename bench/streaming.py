"""How late a client sees what a function writes into a streamed response, and how fast a large one comes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from bench.region import Region

#: A stream that lasts as long as it is told to, each piece with the time that it was written; or many bytes at once.
FUNCTION = {
    "index.js": """
const { setTimeout: sleep } = require('node:timers/promises');
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  const query = event.queryStringParameters ?? event;
  const pause = Number(query.pause ?? 0);
  const now = () => performance.timeOrigin + performance.now();
  for (let i = 0; i < Number(query.pieces ?? 0); i++) {
    stream.write(`<${now()}>`);
    await sleep(pause);
  }
  const piece = Buffer.alloc(65536, 'x');
  for (let left = Number(query.bytes ?? 0); left > 0; left -= piece.length) {
    if (!stream.write(piece)) await new Promise((resolve) => stream.once('drain', resolve));
  }
  stream.end();
});
"""
}
_WRITTEN = re.compile(rb"<([\d.]+)>")
#: (method, path, headers, body) of a request whose event or query has these numbers.
Ask = Callable[[dict[str, int]], tuple[str, str, dict[str, str], bytes]]


def through_invoke(region: Region, name: str) -> Ask:
    path = f"/2021-11-15/functions/{name}/response-streaming-invocations"

    def ask(numbers: dict[str, int]) -> tuple[str, str, dict[str, str], bytes]:
        body = ("{" + ",".join(f'"{key}":{value}' for key, value in numbers.items()) + "}").encode()
        request = AWSRequest("POST", region.url + path, data=body)
        SigV4Auth(region.credentials, "lambda", region.name).add_auth(request)
        return "POST", path, dict(request.headers.items()), body

    return ask


def through_url(region: Region, name: str) -> Ask:
    client = region.lambda_
    made = client.create_function_url_config(FunctionName=name, AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    for statement, action, condition in (
        ("url", "lambda:InvokeFunctionUrl", {"FunctionUrlAuthType": "NONE"}),
        ("function", "lambda:InvokeFunction", {"InvokedViaFunctionUrl": True}),
    ):
        client.add_permission(FunctionName=name, StatementId=statement, Action=action, Principal="*", **condition)
    host = made["FunctionUrl"].split("/")[2]

    def ask(numbers: dict[str, int]) -> tuple[str, str, dict[str, str], bytes]:
        return "GET", "/?" + "&".join(f"{key}={value}" for key, value in numbers.items()), {"Host": host}, b""

    return ask


def lateness_ms(region: Region, ask: Ask, pieces: int, pause_ms: int) -> list[float]:
    """Of each piece: written by the function → read by the client, by the machine's one clock."""
    method, path, headers, body = ask({"pieces": pieces, "pause": pause_ms})
    connection = region.connect()
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    late = []
    while data := response.read1(65536):
        now = time.time() * 1000
        late += [now - float(written) for written in _WRITTEN.findall(data)]
    assert len(late) == pieces, (response.status, late)
    return late


def megabytes_per_second(region: Region, ask: Ask, size: int) -> float:
    """Of a response of `size` bytes, which is to stay below what AWS's rate applies to."""
    method, path, headers, body = ask({"bytes": size})
    connection = region.connect()
    started = time.perf_counter()
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    got = 0
    while data := response.read1(262144):
        got += len(data)
    assert got >= size, (response.status, got)
    return got / 1e6 / (time.perf_counter() - started)
