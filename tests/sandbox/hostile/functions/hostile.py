"""The handler of the hostile function: runs the attempt that the event names and says how it ended.

The answer is {"refused": why} when the kernel or the sandbox said no, {"got": evidence} when the attempt got somewhere.
`python hostile.py ATTEMPT JSON` runs one outside of any sandbox: the control that shows it would otherwise succeed.
"""

import errno
import json
import sys

import channels
import files
import identity
import mounts
import network
import processes
import resources
import syscalls

MODULES = {
    module.__name__: module for module in (channels, files, identity, mounts, network, processes, resources, syscalls)
}


def attempt(event):
    module, _, name = event["attempt"].partition(".")
    try:
        return {"got": getattr(MODULES[module], name)(**event.get("arguments", {}))}
    except OSError as error:
        return {"refused": errno.errorcode.get(error.errno, str(error.errno)) if error.errno else str(error)}


def handler(event, context):
    return attempt(event)


def ping(event, context):
    return {"pong": event}


if __name__ == "__main__":
    print(json.dumps(attempt({"attempt": sys.argv[1], "arguments": json.loads(sys.argv[2])})))
