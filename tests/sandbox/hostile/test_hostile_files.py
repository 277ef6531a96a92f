"""Files that belong to others: what the root shows, other functions' code and /tmp, and links laid out as traps."""

import os
import sys
from pathlib import Path

import pytest
from claims import CONFINED
from region import Region, new_marker

pytestmark = pytest.mark.slow

#: What Lambda's own root has, and the merged-/usr names of a Linux root.
LAMBDA_ROOT = {
    *("bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "opt", "proc", "sbin", "tmp", "usr", "var"),
    # A link to the runtime's own: the last place where Node looks for what a module imports.
    "node_modules",
}
HARMLESS_DEVICES = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx"}


@pytest.mark.levels(*CONFINED)
def test_the_root_holds_nothing_but_what_lambda_shows(region: Region) -> None:
    extra = set(region.attempt("files.top_folders").got) - LAMBDA_ROOT
    # A parent on the way to an interpreter may be there, with that way alone below it; the claims try the rest.
    interpreter = {Path(path).parts[1] for path in (os.path.realpath(sys.base_prefix), sys.prefix)}
    assert extra <= interpreter | {"sys", "home", "root", "mnt"}
    for folder in extra - interpreter:
        assert region.attempt("files.read", path=f"/{folder}").refused is not None


@pytest.mark.levels(*CONFINED)
def test_the_devices_are_the_harmless_ones(region: Region) -> None:
    assert set(region.attempt("files.character_devices").got) <= HARMLESS_DEVICES


def test_code_of_another_function_is_out_of_reach(region: Region) -> None:
    marker = new_marker()
    region.deploy(
        marker, handler="secret.handler", files={"secret.py": f"def handler(event, context): return {marker!r}"}
    )
    on_host = [path for path in region.data_dir.rglob("secret.py") if marker in path.read_text()]
    assert on_host, "the code lies nowhere below the data dir"
    for path in on_host:
        assert region.attempt("files.read", path=str(path)).refused is not None
        assert region.attempt("files.read", path=str(path.parent)).refused is not None


def test_tmp_of_another_function_is_out_of_reach(region: Region) -> None:
    marker = new_marker()
    victim = region.deploy(f"victim-{marker[-8:]}")
    assert region.attempt("files.leave", victim, name=marker, text="secret").got == marker
    assert region.attempt("files.read", path=f"/tmp/{marker}").refused is not None
    assert region.attempt("files.find", name=marker).refused is not None
    for path in region.data_dir.rglob(marker):
        assert region.attempt("files.read", path=str(path)).refused is not None


def test_its_code_is_read_only_where_it_runs(region: Region) -> None:
    assert region.attempt("files.write_own_code").refused is not None


def test_links_left_in_tmp_lead_no_cleaner_astray(region: Region) -> None:
    function = region.deploy(f"planter-{new_marker()[-8:]}")
    folder = region.targets.folder
    before = (folder.stat().st_mode, sorted(path.name for path in folder.iterdir()))
    assert region.attempt("files.plant_links", function, target=str(folder)).got == "planted"
    region.replace_environments(function)
    assert region.attempt("files.leave", function, name="again", text="").got == "again"
    region.client.delete_function(FunctionName=function)
    assert (folder.stat().st_mode, sorted(path.name for path in folder.iterdir())) == before
    assert region.targets.canary.read_text() == "of the host"
