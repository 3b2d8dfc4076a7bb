"""Commands that write files, where another user planted something at the path."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from kgctl.files.atomic import OutputFileError, write_private, write_public
from kgctl.files.walk import owner
from tests.files.users import MALLORY, ROOT, as_user, give
from tests.support.recorded import kgctl

QUICK = ("--example", "showconf", "peer", "laptop", "-o", "wg-quick")


@pytest.fixture
def sticky(tmp_path: Path) -> Path:
    path = tmp_path / "tmp"
    path.mkdir()
    path.chmod(0o1777)
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "kept"
    path.write_bytes(b"kept")
    return path


@pytest.mark.needs("root")
@pytest.mark.parametrize("form", ["mmd", "html", "json"])
def test_graph_follows_no_planted_link(sticky: Path, kept: Path, form: str) -> None:
    place = sticky / f"kilo.{form}"
    place.symlink_to(kept)
    give(place, MALLORY)
    done = kgctl("--example", "graph", "-O", str(place))
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.startswith(f'cannot write {place}: "{place.name}" is a symbolic link of ')
    assert done.stderr.count("\n") == 1
    assert kept.read_bytes() == b"kept"


@pytest.mark.needs("root")
def test_all_takes_nobody_s_file_for_its_own(sticky: Path) -> None:
    argv = ("--example", "showconf", "peer", "--all", "-o", "wg-quick", "-d", str(sticky))
    first = kgctl(*argv)
    assert (first.code, first.stderr.count("wrote")) == (0, len(list(sticky.iterdir())))
    place = sticky / "laptop.conf"
    place.chmod(0o666)
    give(place, MALLORY)
    again = kgctl(*argv)
    assert f"wrote {place}\n" in again.stderr
    assert again.stderr.count("wrote") == 1
    found = place.stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (ROOT, 0o600)


@pytest.mark.needs("root")
def test_who_can_exchange_a_configuration_is_named(tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    argv = ("--example", "showconf", "peer", "--all", "-o", "wg-quick", "-d", str(place))
    told = (
        f" can replace {place}/FILE: write a file that sets up a tunnel to a directory of your own"
    )
    for mode, user, who in (
        (0o755, ROOT, None),
        (0o775, ROOT, None),
        (0o1777, ROOT, None),
        (0o777, ROOT, "everybody"),
        (0o755, MALLORY, "its owner"),
    ):
        place.chmod(mode)
        give(place, user)
        name = owner(place.stat()) if who == "its owner" else who
        done = kgctl(*argv)
        assert done.code == 0
        assert done.stderr.count(told) == (who is not None)
        assert who is None or done.stderr.startswith(f"{name}{told}")


def test_what_is_watched_is_a_file(tmp_path: Path) -> None:
    before = Path("/dev/null").stat().st_rdev
    for place in ("/dev/null", "/dev/stdout", "/dev/fd/1"):
        done = kgctl(*QUICK, "--watch", place)
        assert (done.code, done.stdout) == (1, "")
        assert (
            done.stderr == f"cannot write {place}: it is not a file that can be kept up to date\n"
        )
    done = kgctl(*QUICK, "--watch", str(tmp_path))
    assert (done.code, done.stderr) == (1, f"cannot write {tmp_path}: Is a directory\n")
    assert Path("/dev/null").stat().st_rdev == before


@pytest.mark.needs("root")
def test_what_is_exchanged_meanwhile_is_not_followed_either(sticky: Path, kept: Path) -> None:
    """Another process puts a link, a directory or nothing there, again and again."""
    (sticky / "out").mkdir()
    end = time.monotonic() + 1.5
    child = os.fork()
    if child == 0:
        ready = sticky / "ready"
        while True:
            for target in (kept, kept.parent):
                ready.symlink_to(target)
                os.chown(ready, MALLORY, MALLORY, follow_symlinks=False)
                ready.replace(sticky / "kilo")
                (sticky / "kilo").unlink(missing_ok=True)
    written = refused = 0
    try:
        while time.monotonic() < end:
            for write in (write_private, write_public):
                try:
                    write(sticky / "kilo", b"new")
                    written += 1
                except OutputFileError:
                    refused += 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert written
    assert refused
    assert kept.read_bytes() == b"kept"
    assert {one.name for one in kept.parent.iterdir()} == {"kept", "tmp"}


@pytest.mark.needs("root")
@pytest.mark.parametrize("name", ["kgctl.toml", ".kgctl.toml", "pyproject.toml"])
def test_settings_that_another_user_put_into_tmp_are_not_taken(sticky: Path, name: str) -> None:
    table = "[limits]" if name != "pyproject.toml" else "[tool.kgctl.limits]"
    (sticky / name).write_text(f'{table}\naccept = ["*=0.0.0.0/0"]\n')
    give(sticky / name, MALLORY)

    def run() -> tuple[int, str, str]:
        os.chdir(sticky)
        done = kgctl(*QUICK)
        return done.code, done.stdout, done.stderr

    for mode in (0o1777, 0o777):
        sticky.chmod(mode)
        code, out, errors = as_user(ROOT, run)
        assert (code, out) == (1, "")
        assert errors.startswith(f"{name} here is not read: it belongs to another user (")
        assert errors.count("\n") == 1
    if name == "pyproject.toml":  # of another program
        (sticky / name).write_text("[tool.other]\n")
        assert as_user(ROOT, run)[0] == 0
    else:
        sticky.chmod(0o755)  # root looks at another user's checkout
        assert as_user(ROOT, run)[0] == 0
    (sticky / name).write_text(f'{table}\naccept = ["*=0.0.0.0/0"]\n')
    sticky.chmod(0o1777)
    give(sticky / name, ROOT)
    assert as_user(ROOT, run)[0] == 0
