"""What must be done to the process before a region lives in it: its data dir, its limits, its user.

`cli/up` calls these in order, before anything large is imported: the supervisor forks from a small process, and
imports run while it prepares.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import resource
from pathlib import Path

from lambent.config import Config, ConfigError


class DataDirInUse(Exception):
    """A sentence: another region holds this data dir."""


def lock_data_dir(data_dir: Path) -> int:
    """Take `data_dir` for this process, made where it does not exist; the descriptor to keep open meanwhile.

    Raises DataDirInUse.
    """
    # As root, functions get users of their own, who at level `process` pass through here to their code; what is not
    # theirs has a mode of its own.
    data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataDirInUse(f"A region is running with the data dir {data_dir} already.") from None
    return descriptor


def raise_descriptor_limit() -> None:
    """Connections and environments cost descriptors: allow as many as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def drop_privileges(config: Config) -> str | None:
    """Started as root, become `--user` or the owner of the data dir; the server needs no privilege.

    Returns a warning where it stays root, None where all is well.
    """
    if os.geteuid() != 0:
        if config.user and config.user != pwd.getpwuid(os.geteuid()).pw_name:
            raise ConfigError(f"--user {config.user} needs root: only root can become another user.")
        return None
    account = _account(config)
    if account.pw_uid == 0:
        told = "The server runs as root: name an account with --user, or give the data dir to one."
        return None if config.user else told
    for entry in (config.data_dir, config.data_dir / "lock"):
        os.chown(entry, account.pw_uid, account.pw_gid)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    # Python imports parts of itself when it first needs them; without them the region would fail at odd moments.
    if not os.access(os.__file__, os.R_OK):
        raise ConfigError(
            f"The account {account.pw_name} cannot read the Python that runs Lambent ({os.__file__}): install it "
            "where every account can, or stay root with --user root."
        )
    return None


def _account(config: Config) -> pwd.struct_passwd:
    try:
        if config.user:
            return pwd.getpwnam(config.user)
        return pwd.getpwuid(config.data_dir.stat().st_uid)
    except KeyError:
        owner = config.user or str(config.data_dir.stat().st_uid)
        raise ConfigError(f"There is no account {owner} on this machine.") from None
