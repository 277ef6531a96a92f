"""Attempts on files: reading what is the host's, writing what is read-only."""

import os
import stat

from kernel import TASK, TMP

HIDDEN_WALK = ("proc", "sys", "usr")


def read(path):
    """The first bytes of a file, or the names in a folder."""
    if os.path.isdir(path):
        names = sorted(os.listdir(path))
        if not names:
            raise OSError(0, "an empty folder")
        return names[:20]
    with open(path, "rb") as file:
        return file.read(64).decode("latin-1") or _empty(path)


def _empty(path):
    raise OSError(0, f"{path} is empty")


def write(path):
    """Make a new file at `path`, or change the one that is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(descriptor, b"1")
    os.close(descriptor)
    return path


def write_kernel_setting(path):
    """Write back what the file says: the setting stays as it is, the right to write shows."""
    with open(path, "rb+", buffering=0) as file:
        value = file.read(4096)
        file.seek(0)
        file.write(value)
    return value.decode("latin-1")


def trigger_sysrq():
    """The letter that prints help; what is written to a mask over the file reaches nobody."""
    path = "/proc/sysrq-trigger"
    if os.stat(path).st_rdev == os.stat("/dev/null").st_rdev:
        raise OSError(0, "masked")
    with open(path, "w") as file:
        file.write("h")
    return "triggered"


def write_own_code():
    """At whatever path this level shows the code."""
    return write(os.path.join(TASK, "hostile.py"))


def remove_code():
    names = [name for name in os.listdir(TASK) if name.endswith(".py")]
    os.unlink(os.path.join(TASK, names[0]))
    return names[0]


def open_up_code():
    os.chmod(TASK, 0o777)
    return "changed"


def write_code_through_a_hard_link():
    """A link in /tmp to a read-only file would be writable if both lay on one file system."""
    os.link(f"{TASK}/hostile.py", f"{TMP}/link.py")
    with open(f"{TMP}/link.py", "a") as file:
        file.write("#")
    return "written"


def write_code_through_proc():
    """/proc/self/fd reopens a file with other flags."""
    descriptor = os.open(f"{TASK}/hostile.py", os.O_RDONLY)
    again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY)
    return os.write(again, b"#")


def find(name):
    """Every place outside /proc, /sys and /usr, at most four folders deep, that holds a file of this name."""
    found = []
    for folder, folders, names in os.walk("/", onerror=lambda error: None):
        depth = folder.count("/")
        folders[:] = [entry for entry in folders if depth < 4 and not (folder == "/" and entry in HIDDEN_WALK)]
        if name in names or name in folders:
            found.append(os.path.join(folder, name))
    if not found:
        raise OSError(0, "nowhere")
    return found


def top_folders():
    return sorted(os.listdir("/"))


def block_devices():
    """Every block device that can be opened, of all that /dev names."""
    return _openable("/dev", stat.S_ISBLK)


def character_devices():
    """The character devices below /dev, terminals aside."""
    return sorted(path for path in _devices("/dev", stat.S_ISCHR) if not path.startswith("/dev/pts"))


def _devices(folder, kind):
    for parent, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = os.path.join(parent, name)
            if kind(os.lstat(path).st_mode):
                yield path


def _openable(folder, kind):
    opened = []
    for path in _devices(folder, kind):
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError:
            continue
        opened.append(path)
    if not opened:
        raise OSError(0, "none")
    return opened


def set_uid_program_runs_as_root():
    """Start a set-uid program and look whose it is while it waits for its input."""
    program = next((path for path in ("/usr/bin/su", "/bin/su", "/usr/bin/passwd") if os.path.exists(path)), None)
    if program is None:
        raise OSError(0, "no set-uid program")
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(read_end, 0)
        os.close(write_end)
        null = os.open("/dev/null", os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv(program, [program])
    try:
        return _euid_after_exec(pid, program)
    finally:
        os.close(write_end)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _euid_after_exec(pid, program):
    name = os.path.basename(program)
    for _ in range(100_000):
        try:
            with open(f"/proc/{pid}/status") as file:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        except (FileNotFoundError, ProcessLookupError):
            break
        if fields["State"].startswith("Z"):
            break
        if fields["Name"] == name:
            euid = int(fields["Uid"].split("\t")[1])
            if euid != os.geteuid():
                return euid
            raise OSError(0, "kept the caller's uid")
    raise OSError(0, "it ended at once")


def plant_links(target):
    """Leave links in /tmp that point at `target` on the host, under every kind of name a cleaner may follow."""
    os.makedirs(f"{TMP}/planted/deep", exist_ok=True)
    for name in (f"{TMP}/link", f"{TMP}/planted/link", f"{TMP}/planted/deep/link"):
        if not os.path.lexists(name):
            os.symlink(target, name)
    os.chmod(f"{TMP}/planted/deep", 0)
    return "planted"


def leave(name, text):
    with open(f"{TMP}/{name}", "w") as file:
        file.write(text)
    return name
