"""What an extension adds to a cold start: a new function for every start, with one and without in turn."""

from __future__ import annotations

import io
import sys
import zipfile

from bench import load
from bench.cold import cold_invoke, wait_for_pool
from bench.region import Region

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
CLOCK = {"app.py": "import time\n\ndef handler(event, context):\n    return time.time()\n"}
#: As little as an extension can be: bash registers and waits for events, without a further process.
EXTENSION = r"""#!/bin/bash
ask() {
  exec 9<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://} || exit 1
  printf '%s HTTP/1.1\r\nHost: api\r\nConnection: close\r\n%s\r\n\r\n%s' "$1" "$2" "$3" >&9
  id=
  while IFS= read -r line <&9; do
    [[ ${line,,} == lambda-extension-identifier:* ]] && id=${line#*: }
  done
}
body='{"events":["INVOKE"]}'
ask 'POST /2020-01-01/extension/register' "Lambda-Extension-Name: ${0##*/}"$'\r\n'"Content-Length: ${#body}" "$body"
me=${id%$'\r'}
while :; do
  ask 'GET /2020-01-01/extension/event/next' "Lambda-Extension-Identifier: $me"
done
"""


def measure(region: Region, starts: int) -> tuple[list[float], list[float]]:
    """Milliseconds from request to handler, each of `starts` times: without an extension, and with one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("extensions/bench")
        entry.external_attr = 0o100755 << 16
        archive.writestr(entry, EXTENSION)
    content = {"ZipFile": buffer.getvalue()}
    layer = region.lambda_.publish_layer_version(LayerName="bench", Content=content)["LayerVersionArn"]
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(-1, starts):
        for place, layers in enumerate(([], [layer])):
            name = f"extension-{place}-{number + 1}"
            region.deploy(name, PYTHON, "app.handler", CLOCK, Layers=layers)
            wait_for_pool(region, PYTHON)
            took = cold_invoke(region, name)
            if number >= 0:  # the first ones make the template
                times[place].append(took)
    return times


def figures(times: list[float], runs: int) -> list[float]:
    """A median for each run."""
    return [load.percentile(times[i::runs], 0.5) for i in range(runs)]
