"""The table of claims: what a hostile function tries by a single call, and at which isolation levels it gets nothing.

One row is one attempt, and one test at each level where the claim is made. Words in braces are facts of the running
region (`region.Region.facts`). `python claims.py` prints the table for the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from places import FULL, LIMITED_COLUMNS, PROCESS, REDUCED, REDUCED_CGROUP

EVERYWHERE = frozenset({FULL, REDUCED_CGROUP, REDUCED, PROCESS})
LIMITED = LIMITED_COLUMNS
#: Where namespaces are.
CONFINED = frozenset({FULL, REDUCED_CGROUP, REDUCED})


@dataclass(frozen=True)
class Claim:
    #: Completes "A hostile function cannot …".
    name: str
    attempt: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    levels: frozenset[str] = EVERYWHERE
    #: False: the control (the same attempt as root, outside of any sandbox) cannot succeed on a test machine either.
    control: bool = True


def _reads() -> list[Claim]:
    hidden = {
        "the host's /etc/shadow": ("/etc/shadow", EVERYWHERE, True),
        "the host's /root": ("{root_file}", EVERYWHERE, False),
        "the host's /home": ("{home_folder}", EVERYWHERE, True),
        "a file in the host's /tmp": ("{canary}", EVERYWHERE, True),
        "the data dir": ("{data_dir}", EVERYWHERE, True),
        "the region's credentials": ("{data_dir}/credentials.json", EVERYWHERE, True),
        "the server's working folder": ("{repository}/README.md", EVERYWHERE, True),
        "the host's file systems table": ("/etc/fstab", CONFINED, True),
        "the host's log folder": ("/var/log", EVERYWHERE, True),
        "the host's package database": ("/var/lib/dpkg", EVERYWHERE, True),
        "host files through init's root": ("/proc/1/root/root", EVERYWHERE, True),
        "host files through init's working folder": ("/proc/1/cwd/root", CONFINED, True),
        "init's environment": ("/proc/1/environ", EVERYWHERE, True),
        "the server's environment": ("/proc/{server_pid}/environ", CONFINED, True),
        "the kernel's memory": ("/proc/kcore", EVERYWHERE, False),
        "physical memory": ("/dev/mem", EVERYWHERE, False),
        "the kernel's log device": ("/dev/kmsg", EVERYWHERE, True),
        "the kernel's keys": ("/proc/keys", CONFINED, False),
        "the kernel's timers": ("/proc/timer_list", EVERYWHERE, False),
        "firmware tables": ("/sys/firmware", CONFINED, False),
    }
    return [Claim(f"read {what}", "files.read", {"path": path}, *rest) for what, (path, *rest) in hidden.items()]


def _writes() -> list[Claim]:
    folders = (
        "/var/task",
        "/opt",
        "/var/runtime",
        "/var/lang",
        "/usr/bin",
        "/etc",
        "/lib",
        "/bin",
        "/dev",
        "/proc",
        "/sys",
    )
    settings = (
        "kernel/core_pattern",
        "kernel/hostname",
        "vm/overcommit_memory",
        "net/ipv4/ip_forward",
        "fs/protected_symlinks",
    )
    task = {"/var/task", "/opt", "/var/runtime", "/var/lang"}
    return [
        Claim("write /", "files.write", {"path": "/hostile"}, control=False),
        *(
            # At level process these paths are the host's or nobody's: the code's own folder has a test of its own.
            Claim(
                f"write {path}",
                "files.write",
                {"path": f"{path}/hostile"},
                CONFINED if path in task else EVERYWHERE,
                False,
            )
            for path in folders
        ),
        *(
            Claim(
                f"change {name}",
                "files.write_kernel_setting",
                {"path": f"/proc/sys/{name}"},
                control=name != "fs/protected_symlinks",
            )
            for name in settings
        ),
        Claim("trigger a magic SysRq", "files.trigger_sysrq"),
        Claim("remove its own code", "files.remove_code", {}, control=False),
        # Landlock knows no right for it: at level process the mode changes, though writing stays refused.
        Claim("make its code folder writable", "files.open_up_code", {}, CONFINED, False),
        Claim("write its code through a hard link", "files.write_code_through_a_hard_link", {}, control=False),
        Claim("write its code through /proc/self/fd", "files.write_code_through_proc", {}, control=False),
        Claim("open a block device", "files.block_devices", {}),
        Claim("run a set-uid program as root", "files.set_uid_program_runs_as_root", control=False),
        Claim("find a file of the host by its name", "files.find", {"name": "{canary_name}"}),
    ]


def _processes() -> list[Claim]:
    return [
        Claim("signal a process of the host", "processes.signal_process", {"pid": "{host_pid}"}, CONFINED),
        Claim("signal a process of the host by pidfd", "processes.signal_by_handle", {"pid": "{host_pid}"}, CONFINED),
        Claim("signal the server", "processes.signal_process", {"pid": "{server_pid}"}, CONFINED),
        Claim("trace init", "processes.trace", {"pid": 1}, control=False),
        Claim("trace the server", "processes.trace", {"pid": "{server_pid}"}),
        Claim("read init's memory map", "processes.read_memory_of", {"pid": 1}),
        Claim("read init's memory", "processes.read_memory_directly", {"pid": 1}, control=False),
        Claim("read the server's memory", "processes.read_memory_directly", {"pid": "{server_pid}"}, control=False),
        Claim("write init's memory", "processes.write_memory_of", {"pid": 1}, control=False),
        Claim("write the server's memory", "processes.write_memory_of", {"pid": "{server_pid}"}),
        Claim("list init's descriptors", "processes.open_descriptors_of", {"pid": 1}),
        # Their numbers show to a process of the same user at level process; what they lead to does not.
        Claim("list the server's descriptors", "processes.open_descriptors_of", {"pid": "{server_pid}"}, CONFINED),
        Claim("take a descriptor of init", "processes.take_descriptor", {"pid": 1}),
        Claim("take a descriptor of the server", "processes.take_descriptor", {"pid": "{server_pid}"}),
        Claim("compare itself with the server", "syscalls.compare_processes", {"pid": "{server_pid}"}, control=False),
        Claim("look through init's root", "processes.look_through", {"pid": 1, "path": "/root"}),
        Claim("look through the server's root", "processes.look_through", {"pid": "{server_pid}", "path": "/"}),
    ]


def _identity() -> list[Claim]:
    limits = ("RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_CORE", "RLIMIT_MEMLOCK", "RLIMIT_RTPRIO", "RLIMIT_NICE")
    return [
        Claim("become root", "identity.become", {"uid": 0}),
        Claim("become another user", "identity.become", {"uid": 1}),
        Claim("become group root", "identity.become_group", {"gid": 0}),
        Claim("join the group root", "identity.join_groups"),
        Claim("take capabilities", "identity.take_all_capabilities", control=False),
        Claim("take an ambient capability", "identity.take_ambient_capability", control=False),
        Claim("set its secure bits", "identity.set_secure_bits"),
        *(Claim(f"raise {name}", "identity.raise_limit", {"name": name}) for name in limits),
        Claim("raise its priority", "identity.raise_priority"),
        Claim("become a realtime process", "identity.become_realtime"),
        Claim("escape the out-of-memory killer", "identity.escape_the_oom_killer"),
        Claim("hold a descriptor of a folder", "identity.folder_descriptors", control=False),
    ]


def _mounts() -> list[Claim]:
    namespaces = ("user", "mount", "pid", "net", "ipc", "uts", "cgroup")
    return [
        Claim("mount a tmpfs", "mounts.mount_tmpfs"),
        Claim("mount proc", "mounts.mount_proc"),
        Claim("mount cgroup v1", "mounts.mount_cgroup", {"kind": "cgroup"}, control=False),
        Claim("mount cgroup v2", "mounts.mount_cgroup", {"kind": "cgroup2"}),
        Claim("bind a folder elsewhere", "mounts.bind", {"source": "/usr"}),
        Claim("remount / writable", "mounts.remount_writable", {"path": "/"}, control=False),
        Claim("remount /var/task writable", "mounts.remount_writable", {"path": "/var/task"}, control=False),
        Claim("remount /usr writable", "mounts.remount_writable", {"path": "/usr"}, control=False),
        Claim("move a mount", "mounts.move_mount"),
        Claim("unmount /proc", "mounts.unmount", {"path": "/proc"}, control=False),
        Claim("unmount /var/task", "mounts.unmount", {"path": "/var/task"}, control=False),
        Claim("unmount /tmp", "mounts.unmount", {"path": "/tmp"}, control=False),
        Claim("open a file system", "mounts.open_file_system"),
        Claim("clone the mount tree", "mounts.clone_tree"),
        Claim("change a mount's flags", "mounts.change_mount", control=False),
        Claim("pivot its root", "mounts.pivot", control=False),
        Claim("leave its root by chroot", "mounts.change_root"),
        Claim("make a block device", "mounts.make_block_device", control=False),
        Claim("make a memory device", "mounts.make_memory_device", control=False),
        Claim("open a file by its handle", "mounts.open_by_handle", control=False),
        Claim("write a cgroup file", "mounts.write_cgroup_files"),
        *(Claim(f"unshare a {kind} namespace", "mounts.unshare", {"kind": kind}) for kind in namespaces),
        *(Claim(f"clone into a new {kind} namespace", "mounts.clone_namespace", {"kind": kind}) for kind in namespaces),
        *(
            Claim(f"clone3 into a new {kind} namespace", "mounts.clone3_namespace", {"kind": kind})
            for kind in ("user", "mount")
        ),
        *(
            Claim(
                f"enter init's {kind} namespace",
                "mounts.enter_namespace",
                {"kind": kind, "pid": 1},
                control=kind != "user",
            )
            for kind in ("mnt", "net", "user", "uts")
        ),
    ]


def _syscalls() -> list[Claim]:
    return [
        Claim("load a kernel module", "syscalls.load_module", control=False),
        Claim("load a kernel module from a file", "syscalls.load_module_file", {"path": "/bin/true"}, control=False),
        Claim("unload a kernel module", "syscalls.unload_module", control=False),
        Claim("load a new kernel", "syscalls.load_kernel", control=False),
        Claim("reboot", "syscalls.reboot"),
        Claim("add swap", "syscalls.swap_on", control=False),
        Claim("make a BPF map", "syscalls.bpf_map"),
        Claim("count another's performance events", "syscalls.performance_counter", control=False),
        Claim("add a key to the kernel", "syscalls.make_key"),
        Claim("use the kernel's keyrings", "syscalls.session_keyring"),
        Claim("set up io_uring", "syscalls.io_uring"),
        Claim("handle page faults", "syscalls.fault_handler"),
        Claim("change its personality", "syscalls.change_personality"),
        Claim("change the host name", "syscalls.set_host_name"),
        Claim("change the domain name", "syscalls.set_domain_name"),
        Claim("set the clock", "syscalls.set_clock"),
        Claim("set the time of day", "syscalls.set_time_of_day"),
        Claim("tune the clock", "syscalls.tune_clock"),
        Claim("switch process accounting", "syscalls.account_processes", control=False),
        Claim("read the kernel's log", "syscalls.read_kernel_log"),
        Claim("watch a file system", "syscalls.watch_file_system", control=False),
        Claim("use I/O ports", "syscalls.io_ports", control=False),
        Claim("make system calls by 32-bit numbers", "syscalls.call_by_old_numbers", control=False),
        Claim("make system calls by x32 numbers", "syscalls.call_by_x32_numbers", control=False),
        Claim("type into a terminal", "syscalls.type_into_terminal"),
    ]


def _network() -> list[Claim]:
    sockets = {
        "a raw socket": ("AF_INET", "SOCK_RAW", 1, True),
        "a raw IPv6 socket": ("AF_INET6", "SOCK_RAW", 58, False),
        "a packet socket": ("AF_PACKET", "SOCK_RAW", 768, True),
        "a machine socket (vsock)": ("AF_VSOCK", "SOCK_STREAM", 0, False),
        "a kernel crypto socket": ("AF_ALG", "SOCK_SEQPACKET", 0, False),
        "a key socket": ("15", "SOCK_RAW", 2, False),
        "a Bluetooth socket": ("AF_BLUETOOTH", "SOCK_SEQPACKET", 0, False),
        "a CAN socket": ("AF_CAN", "SOCK_RAW", 1, False),
    }
    return [
        Claim(
            "connect to the host's loopback", "network.connect", {"host": "127.0.0.1", "port": "{tcp_port}"}, CONFINED
        ),
        Claim(
            "connect to the host's IPv6 loopback",
            "network.connect",
            {"host": "::1", "port": "{tcp6_port}"},
            CONFINED,
            False,
        ),
        Claim(
            "send a datagram to the host's loopback",
            "network.send_datagram",
            {"host": "127.0.0.1", "port": "{udp_port}"},
            CONFINED,
        ),
        Claim("connect to the host by 0.0.0.0", "network.connect", {"host": "0.0.0.0", "port": "{tcp_port}"}, CONFINED),
        Claim("connect to an abstract socket of the host", "network.connect_unix", {"path": "{abstract}"}, CONFINED),
        Claim("connect to a socket file of the host", "network.connect_unix", {"path": "{socket_path}"}, CONFINED),
        Claim("reach a Docker-like socket", "network.connect_unix", {"path": "/var/run/docker.sock"}, CONFINED, False),
        # A connected datagram socket sends nothing; in the host's network namespace (level process) a route exists.
        Claim("route to the metadata address", "network.route_to", {"host": "169.254.169.254"}, CONFINED, False),
        Claim("route to another machine", "network.route_to", {"host": "192.0.2.1"}, CONFINED, False),
        Claim("route to another machine by IPv6", "network.route_to", {"host": "2001:db8::1"}, CONFINED, False),
        Claim("add an address to its loopback", "network.add_address"),
        *(
            Claim(
                f"open {what}",
                "network.open_socket",
                {"family": family, "kind": kind, "protocol": protocol},
                control=control,
            )
            for what, (family, kind, protocol, control) in sockets.items()
        ),
    ]


CLAIMS: tuple[Claim, ...] = (
    *_reads(),
    *_writes(),
    *_processes(),
    *_identity(),
    *_mounts(),
    *_syscalls(),
    *_network(),
)


def table() -> str:
    """The claims as Markdown, one row each."""
    columns = (FULL, REDUCED_CGROUP, REDUCED, PROCESS)
    rows = [
        f"| {claim.name} | {' | '.join('yes' if c in claim.levels else 'no' for c in columns)} |" for claim in CLAIMS
    ]
    head = [f"| A hostile function cannot … | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    return "\n".join([*head, *rows])


if __name__ == "__main__":
    print(table())
