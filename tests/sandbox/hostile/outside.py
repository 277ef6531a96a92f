"""Runs attempts outside of any sandbox: `python outside.py ROWS.json` prints one line of JSON, answers by claim.

Meant for the throw-away guest alone: as root these attempts succeed.
"""

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "functions"))

from host import HostTargets  # noqa: E402
from hostile import attempt  # noqa: E402
from kernel import call  # noqa: E402
from region import fill_in  # noqa: E402

MARK = "ANSWERS "
CLONE_NEWNS = 0x20000


def main(rows: str) -> None:
    targets = HostTargets()
    (targets.folder / "credentials.json").write_text("{}")
    facts = {
        **targets.facts,
        "data_dir": str(targets.folder),
        "repository": str(HERE.parents[2]),
        "server_pid": os.getpid(),
    }
    answers = {
        name: in_child({"attempt": chosen, "arguments": fill_in(arguments, facts)})
        for name, chosen, arguments in json.loads(Path(rows).read_text())
    }
    print(MARK + json.dumps(answers), flush=True)
    targets.close()


def in_child(event: dict) -> dict:
    """Each attempt in a process and a mount namespace of its own, so that none changes the ground for the next."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        call("unshare", CLONE_NEWNS)
        try:
            answer = attempt(event)
        except BaseException as error:  # an attempt that breaks off got nothing
            answer = {"refused": repr(error)}
        os.write(write_end, json.dumps(answer, default=str).encode()[:60_000])
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        answer = json.loads(pipe.read() or '{"refused": "it died"}')
    os.waitpid(pid, 0)
    return answer


if __name__ == "__main__":
    main(sys.argv[1])
