"""Capabilities: a function has none, can gain none by exec, and none by being root of anything."""

from lambent.sandbox import syscalls


def drop_all() -> None:
    """Give up every capability of this process for good."""
    # The bounding set first: taking something out of it needs CAP_SETPCAP, which goes with the rest below. Who lacks it
    # (level `process` as an ordinary user) has nothing that a bounding set would bound once exec gives nothing.
    syscalls.drop_bounding_set()
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    syscalls.clear_capabilities()


def forbid_new_privileges() -> None:
    """From here on exec gives nothing: no set-user-id program, no file capability."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
