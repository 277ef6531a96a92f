"""What the Python runtime does around a snapshot, in real forks: hooks in order, and random state of each one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lambent.runtimes

RUNTIME = Path(lambent.runtimes.__file__).parent / "python"

#: Runs `before`, a snapshot, then `after` in three forks of it; prints what the forks tell.
PROGRAM = """
import json, os, sys
sys.path.insert(0, {runtime!r})
import lambent_snapshots as snapshots
told = []
{before}
try:
    snapshots.before_snapshot()
except Exception as error:
    print(json.dumps({{"refused": str(error), "told": told}}))
    sys.exit()
for _ in range(3):
    read, write = os.pipe()
    if os.fork() == 0:
        # As in a sandbox, where a restored process may have the id that the snapshot had.
        pid = os.getppid()
        os.getpid = lambda: pid
        try:
            snapshots.renew()
            snapshots.after_restore()
            {after}
        except Exception as error:
            told.append(f"failed: {{error}}")
        os.write(write, json.dumps(told).encode())
        os._exit(0)
    os.wait()
    print(os.read(read, 65536).decode())
"""


def forks(before: str, after: str = "pass") -> list[Any]:
    program = PROGRAM.format(runtime=str(RUNTIME), before=before, after=after)
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    return [json.loads(line) for line in answer.stdout.splitlines()]


HOOKS = """
from snapshot_restore_py import register_after_restore, register_before_snapshot
for number in (1, 2):
    register_before_snapshot(told.append, f"before {number}")
    register_after_restore(lambda text, end="": told.append(text + end), f"after {number}", end="!")
"""


def test_hooks_run_backwards_before_and_forwards_after() -> None:
    assert forks(HOOKS) == [["before 2", "before 1", "after 1!", "after 2!"]] * 3


def test_a_hook_that_fails_before_leaves_no_snapshot() -> None:
    failing = (
        "from snapshot_restore_py import register_before_snapshot\n@register_before_snapshot\ndef f():\n    1 / 0\n"
    )
    assert forks(HOOKS + failing) == [{"refused": "division by zero", "told": []}]


def test_a_hook_that_fails_after_is_told_and_ends_the_others() -> None:
    failing = (
        "@register_after_restore\ndef f():\n    raise ValueError('no')\nregister_after_restore(told.append, 'late')\n"
    )
    assert forks(HOOKS + failing) == [["before 2", "before 1", "after 1!", "after 2!", "failed: no"]] * 3


#: Each was used before the snapshot, so it has state that a fork would carry on.
GENERATORS = {
    "random": "random.random()",
    "uuid1": "str(uuid.uuid1())",
    "uuid4": "str(uuid.uuid4())",
    "node": "uuid.getnode()",
    "secrets": "secrets.token_hex()",
    "ssl": "ssl.RAND_bytes(16).hex()",
    "tempfile": "tempfile.mktemp()",
    "multiprocessing": "multiprocessing.current_process().authkey.hex()",
}


def test_no_two_restored_environments_draw_alike() -> None:
    modules = "import multiprocessing, random, secrets, ssl, tempfile, uuid\n"
    drawn = f"[{', '.join(GENERATORS.values())}]"
    seeded = "random.seed(1)\n"
    told = forks(f"{modules}{seeded}told.append({drawn})\n", f"told.append({drawn})")
    columns = dict(zip(GENERATORS, zip(told[0][0], *(fork[1] for fork in told), strict=True), strict=True))
    assert {name: len(set(values)) for name, values in columns.items()} == dict.fromkeys(GENERATORS, 4)


def test_numpys_global_generator_is_seeded_anew_where_there_is_one() -> None:
    # numpy itself need not be here: what counts is that its seed is called, with nothing.
    before = """
import types
module = types.ModuleType("numpy.random")
module.seed = lambda *seeds: told.append(["seed", *seeds])
sys.modules["numpy.random"] = module
"""
    assert forks(before) == [[["seed"]]] * 3


def test_what_was_not_imported_is_left_alone() -> None:
    assert forks("", "told.extend(name for name in ('uuid', 'ssl', 'tempfile') if name in sys.modules)") == [[]] * 3
