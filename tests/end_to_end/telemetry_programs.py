"""Subscribers to telemetry, written only from the protocol: in Python over HTTP, in bash for the Logs API over TCP.

What each is to do is its entry in the variable TELEMETRY of the function (JSON by file name). Every event that it gets
is a line of /tmp/<name>.events, so that the function, which shares /tmp, can tell.
"""

from __future__ import annotations

PYTHON_SUBSCRIBER = """#!/usr/bin/python3
import http.client, http.server, json, os, sys, threading, time

NAME = os.path.basename(sys.argv[0])
PLAN = json.loads(os.environ["TELEMETRY"])[NAME]
PORT = PLAN.get("port", 4243)
events = open(f"/tmp/{NAME}.events", "a")
counts = {}

class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = PLAN.get("http", "HTTP/1.1")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        while PLAN.get("stalls") and not os.path.exists("/tmp/go"):
            time.sleep(0.01)
        for event in json.loads(body):
            counts[event["type"]] = counts.get(event["type"], 0) + 1
            events.write(json.dumps(event) + "\\n")
        events.flush()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_PUT = do_POST
    def log_message(self, *_):
        pass

connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

def call(method, path, headers={}, body=None):
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response, response.read()

response, _ = call("POST", "/2020-01-01/extension/register", {"Lambda-Extension-Name": NAME},
                   json.dumps({"events": PLAN.get("events", ["SHUTDOWN"])}))
own = {"Lambda-Extension-Identifier": response.headers["Lambda-Extension-Identifier"]}
server = http.server.ThreadingHTTPServer((PLAN.get("host", "sandbox.localdomain"), PORT), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
asked = {
    "schemaVersion": "2022-12-13",
    "types": ["platform", "function", "extension"],
    "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{PORT}/events"},
    "buffering": {"timeoutMs": 25},
    **PLAN.get("asks", {}),
}
response, body = call("PUT", "/2022-07-01/telemetry", {**own, "Content-Type": "application/json"}, json.dumps(asked))
if PLAN.get("says"):
    print("subscribed", response.status, body.decode(), flush=True)
while True:
    _, body = call("GET", "/2020-01-01/extension/event/next", own)
    event = json.loads(body)
    if event["eventType"] == "SHUTDOWN":
        time.sleep(PLAN.get("lingers", 0))
        print("at the end", json.dumps(counts), flush=True)
        sys.exit(0)
    if PLAN.get("says"):
        print("invoked", event["requestId"], flush=True)
"""

#: Its sink is the one thing that bash cannot be: somebody who listens.
BASH_SUBSCRIBER = r"""#!/bin/bash
name=${0##*/}
api=${AWS_LAMBDA_RUNTIME_API/://}

ask() {
  exec 9<>/dev/tcp/$api || exit 1
  printf '%s\r\nHost: api\r\nConnection: close\r\n%s\r\n\r\n%s' "$1" "$2" "$3" >&9
  id= status=
  while IFS= read -r line <&9; do
    line=${line%$'\r'}
    [[ -z $status ]] && status=${line#* }
    [[ ${line,,} == lambda-extension-identifier:* ]] && id=${line#*: }
    [[ -z $line ]] && break
  done
  body=$(cat <&9)
  exec 9>&-
}

/usr/bin/python3 -c '
import socket, sys
listener = socket.create_server(("127.0.0.1", 4321))
print("ready", flush=True)
while True:
    peer = listener.accept()[0]
    while data := peer.recv(65536):
        open(sys.argv[1], "ab").write(data)
' "/tmp/$name.events" > /tmp/sink & while [[ ! -s /tmp/sink ]]; do :; done

json='{"events":["INVOKE","SHUTDOWN"]}'
ask 'POST /2020-01-01/extension/register HTTP/1.1' \
  "Lambda-Extension-Name: $name"$'\r\n'"Content-Length: ${#json}" "$json"
me=$id
json='{"schemaVersion":"2021-03-18","types":["platform","function"],"buffering":{"timeoutMs":25},'
json+='"destination":{"protocol":"TCP","port":4321}}'
ask 'PUT /2020-08-15/logs HTTP/1.1' "Lambda-Extension-Identifier: $me"$'\r\n'"Content-Length: ${#json}" "$json"
echo "subscribed ${status%% *} $body"
while :; do
  ask 'GET /2020-01-01/extension/event/next HTTP/1.1' "Lambda-Extension-Identifier: $me"
  [[ $body == *SHUTDOWN* ]] && exit 0
done
"""

#: It prints what it is asked to, tells what subscribers wrote down, and asks the APIs as an internal extension.
FUNCTION = """
import json, logging, os, threading, time, urllib.error, urllib.request

def call(method, path, headers={}, body=None):
    request = urllib.request.Request(
        f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}{path}", body, headers, method=method)
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read()
    return answer.status, dict(answer.headers), text.decode()

def subscribe(identifier, path="/2022-07-01/telemetry", **changes):
    asked = {"schemaVersion": "2022-12-13", "types": ["platform"], "destination": {"protocol": "TCP", "port": 4000}}
    headers = {"Lambda-Extension-Identifier": identifier} if identifier else {}
    return call("PUT", path, headers, json.dumps({**asked, **changes}).encode())

def register(name):
    body = json.dumps({"events": ["INVOKE"]}).encode()
    return call("POST", "/2020-01-01/extension/register", {"Lambda-Extension-Name": name}, body)[1]

def take_part(identifier):
    while True:
        call("GET", "/2020-01-01/extension/event/next", {"Lambda-Extension-Identifier": identifier})

AT_INIT = None
if "AT_INIT" in os.environ:
    ID = register("inner")["Lambda-Extension-Identifier"]
    AT_INIT = eval(os.environ["AT_INIT"])
    threading.Thread(target=take_part, args=(ID,), daemon=True).start()

def handler(event, context):
    if "read" in event:
        deadline = time.time() + 10
        while True:
            found = []
            if os.path.exists(path := f"/tmp/{event['read']}.events"):
                found = [json.loads(line) for line in open(path) if line.endswith("\\n")]
            if sum(each["type"] == event["type"] for each in found) >= event["count"] or time.time() > deadline:
                break
            time.sleep(0.02)
        return [each for each in found if event.get("all") or each["type"] == event["type"]]
    if "count" in event:
        for index in range(event["count"]):
            print(f"{index:0{event['width']}d}")
        return event["count"]
    if "go" in event:
        open("/tmp/go", "w").close()
    if "exit" in event:
        os._exit(event["exit"])
    if "eval" in event:
        return eval(event["eval"])
    return {"init": AT_INIT}
"""
