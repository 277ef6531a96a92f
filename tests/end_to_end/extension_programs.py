"""Extensions written only from the protocol: one in Python that does what a plan says, one in bash without any tool.

The plan is the variable PLAN of the function, JSON by the extension's file name; what each does is told in the log.
"""

from __future__ import annotations

import io
import zipfile

PYTHON_EXTENSION = """#!/usr/bin/python3
import http.client, json, os, subprocess, sys, time

NAME = os.path.basename(sys.argv[0])
PLAN = json.loads(os.environ.get("PLAN", "{}")).get(NAME, {})

def say(**fields):
    print(json.dumps({"from": NAME, **fields}), flush=True)

connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

def call(method, path, headers={}, body=None):
    connection.request(method, "/2020-01-01/extension/" + path, body, headers)
    response = connection.getresponse()
    return response, response.read()

def act(steps, own):
    for name, value in steps:
        if name == "sleep": time.sleep(value)
        elif name == "exit": sys.exit(value)
        elif name == "signal": os.kill(os.getpid(), value)
        elif name == "print": print(value, flush=True)
        elif name == "environment": say(environment=dict(os.environ), uid=os.getuid(), cwd=os.getcwd())
        elif name in ("init/error", "exit/error"):
            response, body = call("POST", name, {**own, "Lambda-Extension-Function-Error-Type": value}, b"{}")
            say(told=name, status=response.status, body=json.loads(body))
        elif name == "once":
            if os.path.exists(value): return
            open(value, "w").close()
        elif name == "run": subprocess.run(value, shell=True)

act(PLAN.get("start", []), {})
response, body = call("POST", "register", {"Lambda-Extension-Name": NAME, **PLAN.get("headers", {})},
                      json.dumps({"events": PLAN.get("events", ["INVOKE", "SHUTDOWN"])}))
own = {"Lambda-Extension-Identifier": response.headers["Lambda-Extension-Identifier"] or ""}
say(registered=json.loads(body), status=response.status)
if response.status != 200:
    sys.exit(0)
act(PLAN.get("init", []), own)
while True:
    response, body = call("GET", "event/next", own)
    event = json.loads(body)
    say(event=event, id=response.headers["Lambda-Extension-Event-Identifier"], now=time.time() * 1000)
    act(PLAN.get(event.get("eventType"), []), own)
    if event.get("eventType") != "INVOKE":
        sys.exit(0)
    say(done=event["requestId"])
"""

BASH_EXTENSION = r"""#!/bin/bash
name=${0##*/}
api=${AWS_LAMBDA_RUNTIME_API/://}

# Sends one request and leaves the answer in $status, $id and $body.
ask() {
  exec 9<>/dev/tcp/$api || exit 1
  printf '%s\r\nHost: api\r\nConnection: close\r\n%s\r\n\r\n%s' "$1" "$2" "$3" >&9
  body= id= status=
  while IFS= read -r line <&9; do
    line=${line%$'\r'}
    [[ -z $status ]] && status=${line#* }
    [[ ${line,,} == lambda-extension-identifier:* ]] && id=${line#*: }
    [[ -z $line ]] && break
  done
  body=$(cat <&9)
  exec 9>&-
}

json='{"events":["INVOKE","SHUTDOWN"]}'
ask 'POST /2020-01-01/extension/register HTTP/1.1' \
  "Lambda-Extension-Name: $name"$'\r\n'"Content-Length: ${#json}" "$json"
echo "$name: registered ${status%% *} $body"
me=$id
while :; do
  ask 'GET /2020-01-01/extension/event/next HTTP/1.1' "Lambda-Extension-Identifier: $me"
  echo "$name: ${status%% *} $body"
  [[ $body == *SHUTDOWN* ]] && exit 0
done
"""


def archive(files: dict[str, str | bytes], executable: bool = True) -> bytes:
    """A package in which everything may be executed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            package.writestr(entry, content)
    return buffer.getvalue()
