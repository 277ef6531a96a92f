"""What a Python function does around its snapshot: runtime hooks, and state of which no two environments may share.

The bootstrap calls `before_snapshot` once init is done, `renew` in every process that is made of the snapshot, and
`after_restore` once that is needed. Hooks are those of `snapshot_restore_py`, run by AWS's own runner.
Speaks Python 3.8.
"""

import importlib
import os
import sys
from typing import Any, Callable, Dict

#: What a hook's failure is called, and what its process exits with, as AWS's runtime does.
FAILURES = {
    "before_snapshot": ("Runtime.BeforeSnapshotError", 64),
    "after_restore": ("Runtime.AfterRestoreError", 65),
}


def before_snapshot() -> None:
    """Run the hooks, what was registered last first. Raises what a hook raises: there is no snapshot then."""
    runner = _hooks()
    if runner is not None:
        runner.run_before_snapshot()


def after_restore() -> None:
    """Run the hooks in their order. Raises what a hook raises."""
    runner = _hooks()
    if runner is not None:
        runner.run_after_restore()


def renew() -> None:
    """New state for every generator of the libraries that were imported before the snapshot.

    What a function keeps in variables of its own (`random.Random()`, `numpy.random.default_rng()`) is out of reach
    here, as it is on AWS; that is what hooks are for.
    """
    for name, renewal in _RENEWALS.items():
        module = sys.modules.get(name)
        if module is not None:
            renewal(module)


def _hooks() -> Any:
    """AWS's runner; None where nothing was registered, or this Python is too old for the module."""
    # A function may bring a version of its own; one that registered something has imported it.
    if "snapshot_restore_py" not in sys.modules:
        return None
    return importlib.import_module("awslambdaric.lambda_runtime_hooks_runner")


def _renew_random(module: Any) -> None:
    module.seed()


def _renew_uuid(module: Any) -> None:
    # uuid1: the C library's node and clock sequence went through the fork as they were, so Python's own takes over.
    module._generate_time_safe = None
    module._node = int.from_bytes(os.urandom(6), "big") | 1 << 40  # a multicast address is no machine's
    for name in ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7"):
        if hasattr(module, name):
            setattr(module, name, None)


def _renew_tempfile(module: Any) -> None:
    # It notices a fork by the process id, which is the same in each sandbox.
    module._name_sequence = None


def _renew_openssl(module: Any) -> None:
    # So does OpenSSL. What is added makes its root generator take new entropy from the kernel, and the others from it.
    module.RAND_add(os.urandom(32), 32.0)


def _renew_numpy(module: Any) -> None:
    module.seed()


def _renew_multiprocessing(module: Any) -> None:
    module.current_process().authkey = os.urandom(32)


_RENEWALS: Dict[str, Callable[[Any], None]] = {
    "random": _renew_random,
    "uuid": _renew_uuid,
    "tempfile": _renew_tempfile,
    "_ssl": _renew_openssl,
    "numpy.random": _renew_numpy,
    "multiprocessing.process": _renew_multiprocessing,
}
