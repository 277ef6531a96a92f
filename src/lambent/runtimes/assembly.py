"""Puts together the folders that functions see as /var/runtime, below the data dir.

For Python: Lambent's bootstrap and, from the server's own environment, awslambdaric with what it needs (pure Python:
one folder serves every interpreter), then boto3 where the interpreter is new enough for it. For Node: the bootstrap;
`node_modules` is filled by `install`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

_HERE = Path(__file__).parent

#: What awslambdaric imports.
_CORE_PACKAGES = ("awslambdaric", "simplejson", "snapshot_restore_py")
#: boto3 and all that it imports.
SDK_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")

#: The oldest Python that those run on, as their own metadata says (boto3: `Requires-Python`).
OLDEST_FOR_SDK = (3, 10)

_SKIPPED = shutil.ignore_patterns("tests", "examples", "*.pyi", "runtime_client*.so")


def assemble_python(folder: Path) -> None:
    """Bootstrap and awslambdaric: all that a function without SDK needs."""
    _copy_files((_HERE / "python").glob("*.py"), folder)
    copy_packages(_CORE_PACKAGES, folder)


def assemble_nodejs(folder: Path) -> None:
    _copy_files([*(_HERE / "nodejs").glob("*.?js"), _HERE / "nodejs" / "launch"], folder)


def assemble_provided(folder: Path) -> None:
    _copy_files([_HERE / "provided" / "launch"], folder)


def copy_packages(names: Iterable[str], folder: Path) -> None:
    """Copy packages of the server's environment, hard links where possible, unless that version is there already.

    Each appears whole: a function may be importing from the folder meanwhile.
    """
    for name in names:
        source = _find(name)
        target = folder / source.name
        if source.is_file():
            _refresh(source, target)
        elif not _is_same(source / "__init__.py", target / "__init__.py"):
            temporary = target.with_name(f".{target.name}.{os.getpid()}")
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(source, temporary, ignore=_SKIPPED, copy_function=_link_or_copy)
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)


def needs_compiling(version: str, folder: Path) -> bool:
    """Whether an SDK is there without byte code of that version."""
    package = folder / "boto3"
    compiled = package / "__pycache__" / f"__init__.cpython-{version.replace('.', '')}.pyc"
    return package.exists() and not compiled.exists()


def compile_python(program: Path, prefix: Path, folder: Path) -> None:
    """Byte code for one interpreter: functions see the folder read-only and would compile it at every start."""
    # It ends with the server (1 is PR_SET_PDEATHSIG): nobody expects a region that has stopped to write on.
    script = (
        "import compileall, ctypes, os, sys; sys.platform == 'linux' and ctypes.CDLL(None).prctl(1, 9);"
        " os.nice(19); compileall.compile_dir(sys.argv[1], quiet=2)"
    )
    libraries = {"LD_LIBRARY_PATH": str(prefix / "lib")}
    subprocess.run((program, "-I", "-c", script, folder), env=libraries, stdin=subprocess.DEVNULL, check=False)


def _copy_files(sources: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Functions run as another user, whatever the server's umask is.
    folder.chmod(0o755)
    for source in sources:
        if source.name != "__init__.py":
            _refresh(source, folder / source.name)


def _find(name: str) -> Path:
    """The folder or the file of an installed package, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"The package {name} is missing from Lambent's own environment; reinstall Lambent.")
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _refresh(source: Path, target: Path) -> None:
    if not _is_same(source, target):
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copy2(source, temporary)
        temporary.replace(target)


def _is_same(source: Path, target: Path) -> bool:
    try:
        new, old = source.stat(), target.stat()
    except FileNotFoundError:
        return False
    return (new.st_size, int(new.st_mtime)) == (old.st_size, int(old.st_mtime))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
