"""Runs a command where a fresh uid can reach it: `unshare --mount python -E -S rootless.py WHO FOLDER … -- COMMAND …`.

Started by root in a mount namespace of its own. The folders are made reachable for every uid. WHO is `rootless`, to run
the command as a fresh uid, or `root`, for a server that starts as root and then becomes that uid by itself.
"""

import os
import sys

from reach import ROOTLESS_HOME, ROOTLESS_UID, STASH, add_rootless_user, mount, put_back, stash


def main(arguments):
    split = arguments.index("--")
    who, folders, command = arguments[0], arguments[1:split], arguments[split + 1 :]
    mount("tmpfs", STASH, "tmpfs", options="mode=755")
    mount("tmpfs", "/run", "tmpfs", options="mode=755")
    # All are stashed before the first is put back: that may hide the parent of the next.
    stashed = [(folder, stash(folder, number)) for number, folder in enumerate(folders)]
    for folder, copy in stashed:
        put_back(folder, copy)
    add_rootless_user()
    environment = dict(os.environ)
    if who == "rootless":
        os.setgroups([])
        os.setresgid(ROOTLESS_UID, ROOTLESS_UID, ROOTLESS_UID)
        os.setresuid(ROOTLESS_UID, ROOTLESS_UID, ROOTLESS_UID)
        environment |= {"HOME": ROOTLESS_HOME, "USER": "rootless", "LOGNAME": "rootless"}
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
