"""Files in places where other users write: kgctl never follows, trusts or fills theirs."""

from __future__ import annotations

import contextlib
import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kgctl.files.atomic import (
    OutputFileError,
    create_private,
    make_directory,
    remove_own,
    write_private,
    write_public,
)
from tests.files.users import MALLORY, ROOT, VICTIM, as_user, give, reachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WRITERS = [write_private, write_public]
OPEN = {"sticky": 0o1777, "not sticky": 0o777}


@pytest.fixture
def ground() -> Iterator[Path]:
    with reachable() as place:
        yield place


@pytest.fixture(params=OPEN)
def shared(ground: Path, request: pytest.FixtureRequest) -> Path:
    """A directory of root's to which everybody can write."""
    path = ground / "shared"
    path.mkdir()
    path.chmod(OPEN[request.param])
    return path


@pytest.fixture(params=[ROOT, VICTIM], ids=["root", "user"])
def user(request: pytest.FixtureRequest) -> int:
    """Who runs kgctl."""
    number: int = request.param
    return number


@pytest.fixture
def kept(ground: Path, user: int) -> Path:
    """A file of that user's that is worth something."""
    home = ground / "home"
    home.mkdir()
    path = home / "kept"
    path.write_bytes(b"kept")
    path.chmod(0o640)
    give(path, user)
    give(home, user)
    return path


def is_kept(path: Path) -> bool:
    return path.read_bytes() == b"kept" and stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.needs("root")
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("target", ["kept", "absent"])
def test_a_planted_link_is_not_followed(
    shared: Path, user: int, kept: Path, write: Callable[[Path, bytes], object], target: str
) -> None:
    place = shared / "kilo.svg"
    place.symlink_to(kept.with_name(target))
    give(place, MALLORY)
    with pytest.raises(OutputFileError, match=r'"kilo.svg" is a symbolic link of another user'):
        as_user(user, lambda: write(place, b"new"))
    assert is_kept(kept)
    assert [one.name for one in kept.parent.iterdir()] == ["kept"]


@pytest.mark.needs("root")
@pytest.mark.parametrize("write", WRITERS)
def test_a_planted_link_to_a_directory_is_not_followed(
    shared: Path, user: int, kept: Path, write: Callable[[Path, bytes], object]
) -> None:
    (shared / "out").symlink_to(kept.parent)
    give(shared / "out", MALLORY)
    with pytest.raises(OutputFileError, match='"out" is a symbolic link of another user'):
        as_user(user, lambda: write(shared / "out" / "kept", b"new"))
    assert is_kept(kept)


@pytest.mark.needs("root")
@pytest.mark.parametrize("write", WRITERS)
def test_a_planted_directory_is_not_used(
    shared: Path, user: int, write: Callable[[Path, bytes], object]
) -> None:
    (shared / "out").mkdir()
    (shared / "out").chmod(0o777)
    give(shared / "out", MALLORY)
    with pytest.raises(OutputFileError, match='the directory "out" belongs to another user'):
        as_user(user, lambda: write(shared / "out" / "kilo.conf", b"new"))
    with pytest.raises(OutputFileError, match=r"cannot make .*another user"):
        as_user(user, lambda: make_directory(shared / "out" / "deeper"))
    assert list((shared / "out").iterdir()) == []


@pytest.mark.needs("root")
def test_a_file_with_the_right_content_is_not_taken_for_ones_own(shared: Path, user: int) -> None:
    place = shared / "kilo.conf"
    place.write_bytes(b"[Interface]")
    place.chmod(0o666)
    give(place, MALLORY)
    if user != ROOT and shared.stat().st_mode & stat.S_ISVTX:
        with pytest.raises(OutputFileError, match="it belongs to another user"):
            as_user(user, lambda: write_private(place, b"[Interface]"))
        return
    opened = place.open("r+b")  # they can write to what they made, not to what is there then
    assert as_user(user, lambda: write_private(place, b"[Interface]"))
    with opened:
        opened.write(b"PostUp=evil")
    found = place.stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (user, 0o600)
    assert place.read_bytes() == b"[Interface]"
    assert not as_user(user, lambda: write_private(place, b"[Interface]"))


@pytest.mark.needs("root")
@pytest.mark.parametrize("write", WRITERS)
def test_another_name_of_a_file_is_not_written_into(
    shared: Path, user: int, kept: Path, write: Callable[[Path, bytes], object]
) -> None:
    (shared / "kilo.svg").hardlink_to(kept)  # as any user can, without fs.protected_hardlinks
    as_user(user, lambda: write(shared / "kilo.svg", b"new"))
    assert is_kept(kept)
    assert (shared / "kilo.svg").read_bytes() == b"new"
    (shared / "other.svg").hardlink_to(kept)
    assert as_user(user, lambda: write_private(shared / "other.svg", b"kept"))
    assert is_kept(kept)


@pytest.mark.needs("root")
@pytest.mark.parametrize("write", WRITERS)
def test_a_planted_pipe_gets_nothing(
    shared: Path, user: int, write: Callable[[Path, bytes], object]
) -> None:
    place = shared / "kilo.svg"
    os.mkfifo(place, 0o666)
    place.chmod(0o666)
    give(place, MALLORY)
    listening = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(OutputFileError, match="a pipe or a device of another user"):
            as_user(user, lambda: write(place, b"new"))
        assert os.read(listening, 10) == b""
    finally:
        os.close(listening)


@pytest.mark.needs("root")
def test_a_mode_that_another_user_gave_is_not_kept(shared: Path) -> None:
    place = shared / "kilo.svg"
    place.touch()
    place.chmod(0o777)
    give(place, MALLORY)
    write_public(place, b"new")
    found = place.stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode) & 0o022) == (ROOT, 0)


@pytest.mark.needs("root")
@pytest.mark.parametrize("write", WRITERS)
def test_in_a_directory_of_another_user_their_links_lead_nowhere(
    ground: Path, kept: Path, write: Callable[[Path, bytes], object]
) -> None:
    home = ground / "mallory"
    home.mkdir()
    (home / "own.svg").symlink_to(kept)
    (home / "moved.svg").symlink_to(kept)
    os.mkfifo(home / "pipe.svg")
    for one in (home / "own.svg", home / "pipe.svg", home):
        give(one, MALLORY)
    for name in ("own.svg", "moved.svg", "pipe.svg"):
        with pytest.raises(OutputFileError, match=r"another user|where others can put one"):
            write(home / name, b"new")
    assert is_kept(kept)
    write(home / "new.svg", b"new")  # root may write there, as with cp
    assert (home / "new.svg").read_bytes() == b"new"


@pytest.mark.needs("root")
@pytest.mark.parametrize("write", WRITERS)
def test_ones_own_link_and_root_s_are_followed(
    ground: Path, user: int, kept: Path, write: Callable[[Path, bytes], object]
) -> None:
    sticky = ground / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    for directory in (kept.parent, sticky):
        for owner in {user, ROOT}:
            place = directory / f"link-{owner}"
            place.symlink_to(kept.with_name(f"target-{owner}"))
            give(place, owner)
            for text in (b"one", b"two"):
                as_user(user, lambda place=place, text=text: write(place, text))  # type: ignore[misc]
                assert place.is_symlink()
                assert kept.with_name(f"target-{owner}").read_bytes() == text


@pytest.mark.needs("root")
def test_no_link_is_followed_where_all_can_exchange_it(ground: Path, user: int, kept: Path) -> None:
    place = ground / "open"
    place.mkdir()
    place.chmod(0o777)
    (place / "link").symlink_to(kept)
    give(place / "link", user)
    with pytest.raises(OutputFileError, match="a symbolic link where others can put one"):
        as_user(user, lambda: write_public(place / "link", b"new"))
    assert is_kept(kept)


@pytest.mark.needs("root")
def test_a_key_is_made_and_removed_where_nobody_else_has_a_hand(
    shared: Path, user: int, kept: Path
) -> None:
    (shared / "out").symlink_to(kept.parent)
    give(shared / "out", MALLORY)
    with pytest.raises(PermissionError, match="symbolic link of another user"):
        as_user(user, lambda: create_private(shared / "out" / "laptop.key", b"secret"))
    with pytest.raises(PermissionError, match="symbolic link of another user"):
        as_user(user, lambda: remove_own(shared / "out" / "kept"))
    as_user(user, lambda: create_private(shared / "laptop.key", b"secret"))
    found = (shared / "laptop.key").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (user, 0o600)
    as_user(user, lambda: remove_own(shared / "laptop.key"))
    (shared / "laptop.key").touch()
    give(shared / "laptop.key", MALLORY)
    as_user(user, lambda: remove_own(shared / "laptop.key"))
    assert (shared / "laptop.key").exists()


@pytest.mark.parametrize("write", WRITERS)
def test_links_lead_on_as_far_as_the_kernel_goes(
    tmp_path: Path, write: Callable[[Path, bytes], object]
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "up").symlink_to("a/b")
    (tmp_path / "a" / "b" / "again").symlink_to("../../file")
    (tmp_path / "far").symlink_to(tmp_path / "up" / ".." / "b" / "again")
    write(tmp_path / "far", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputFileError, match="Too many levels of symbolic links"):
        write(tmp_path / "loop", b"new")
    for place in (tmp_path, tmp_path / "a" / "..", Path("/"), Path()):
        with pytest.raises(OutputFileError, match="Is a directory"):
            write(place, b"new")
    with pytest.raises(OutputFileError, match="Not a directory"):
        write(tmp_path / "file" / "x", b"new")
    with pytest.raises(OutputFileError, match="No such file or directory"):
        write(tmp_path / "missing" / "x", b"new")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "far", "file", "loop", "up"]


NAMES = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(st.sampled_from(["a", "b", "c", "d", "..", ".", ""]), min_size=1, max_size=5)


@given(
    directories=st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=4),
    links=st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), st.booleans(), STEPS)),
    wanted=STEPS,
)
def test_the_way_is_that_of_the_kernel(
    directories: list[list[str]],
    links: list[tuple[list[str], bool, list[str]]],
    wanted: list[str],
) -> None:
    """Whatever links there are, a file goes to where open(2) would put it, or there is none."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "1" / "2" / "3"
        root.mkdir(parents=True)
        for parts in directories:
            root.joinpath(*parts).mkdir(parents=True, exist_ok=True)
        for parts, absolute, target in links:
            with contextlib.suppress(OSError):
                text = "/".join([str(root), *target] if absolute else target)
                root.joinpath(*parts).symlink_to(text or ".")
        path = "/".join([str(root), *wanted, "e"])
        assume(Path(os.path.realpath(path)).is_relative_to(root.parents[2]))
        try:
            with open(path, "wb") as file:  # noqa: PTH123 - pathlib would drop what is empty
                expected = os.path.realpath(f"/proc/self/fd/{file.fileno()}")
        except OSError as error:
            expected = str(error.strerror)
        else:
            os.unlink(expected)  # noqa: PTH108
        try:
            write_public(Path(path), b"new")
        except OutputFileError as error:
            found = str(error).rpartition(": ")[2]
        else:
            (found,) = [str(one) for one in root.parents[2].rglob("e") if one.is_file()]
        assert found == expected


def test_a_new_file_has_the_usual_mode_and_one_that_is_there_keeps_its_own(tmp_path: Path) -> None:
    for umask, mode in ((0o022, 0o644), (0o077, 0o600), (0, 0o666)):
        path, old = tmp_path / f"{umask}.svg", os.umask(umask)
        try:
            write_public(path, b"one")
            assert stat.S_IMODE(path.stat().st_mode) == mode
            path.chmod(0o604)
            write_public(path, b"two")
            assert stat.S_IMODE(path.stat().st_mode) == 0o604
        finally:
            os.umask(old)


def test_a_private_file_that_others_can_read_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "kilo.conf"
    path.write_bytes(b"one")
    path.chmod(0o644)
    assert not write_private(path, b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("write", WRITERS)
def test_a_pipe_of_ones_own_and_a_device_are_written_into(
    tmp_path: Path, write: Callable[[Path, bytes], object]
) -> None:
    place, heard = tmp_path / "pipe", list[bytes]()
    os.mkfifo(place)
    listener = threading.Thread(target=lambda: heard.append(place.read_bytes()))
    listener.start()
    write(place, b"new")
    listener.join(10)
    assert heard == [b"new"]
    assert place.is_fifo()
    before = Path("/dev/null").stat()
    write(Path("/dev/null"), b"new")
    assert Path("/dev/null").stat().st_ino == before.st_ino


@pytest.mark.parametrize("function", ["write_private", "write_public"])
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_a_descriptor_that_was_given_is_written_into(
    tmp_path: Path, function: str, name: str
) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    code = (
        f"from pathlib import Path; from kgctl.files.atomic import {function}; "
        f"{function}(Path({name!r}), b'new')"
    )
    argv = [sys.executable, "-c", code]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, cwd=tmp_path, env=environment, check=True, timeout=60
    )
    assert done.stdout == b"new"
    with (tmp_path / "file").open("ab") as file:
        file.write(b"old ")
        file.flush()
        subprocess.run(argv, stdout=file, cwd=tmp_path, env=environment, check=True, timeout=60)
    assert (tmp_path / "file").read_bytes() == b"old new"


def test_a_descriptor_that_kgctl_opened_itself_was_not_given(tmp_path: Path) -> None:
    """What is written to /dev/fd/5 must not go to the API server."""
    with (tmp_path / "own").open("wb") as own:
        place = Path(f"/dev/fd/{own.fileno()}")
        with pytest.raises(OutputFileError, match="Bad file descriptor"):
            write_public(place, b"new")
        os.set_inheritable(own.fileno(), True)
        write_public(place, b"given")
    assert (tmp_path / "own").read_bytes() == b"given"


def test_a_descriptor_that_is_not_open_is_an_error() -> None:
    with pytest.raises(OutputFileError, match=r"cannot write /dev/fd/987: Bad file descriptor"):
        write_public(Path("/dev/fd/987"), b"new")


def test_directories_are_made_on_the_way(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b" / "c")
    make_directory(tmp_path / "a" / "b" / "c")
    write_private(tmp_path / "a" / "b" / "c" / "file", b"new")
    with pytest.raises(OutputFileError, match=r"cannot make .*file: Not a directory"):
        make_directory(tmp_path / "a" / "b" / "c" / "file")


@pytest.mark.parametrize("write", WRITERS)
def test_a_disk_that_is_full_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, write: Callable[[Path, bytes], object]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_much() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        write(path, b"new" * 100_000)

    with pytest.raises(OutputFileError, match=r"cannot write .*/file: File too large"):
        as_user(os.geteuid(), write_much)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.needs("strace")
def test_a_private_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from kgctl.files.atomic import sync_directory, write_private; "
        "write_private(Path('file'), b'new'); "
        "write_private(Path('a'), b'new', one_of_many=True); "
        "write_private(Path('b'), b'new', one_of_many=True); sync_directory(Path('.'))"
    )
    traced = tmp_path / "trace"
    argv = ["strace", "-f", "-o", str(traced), "-e", "trace=fsync,rename,renameat,renameat2",
            sys.executable, "-c", code]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(argv, cwd=tmp_path, env=environment, check=True, timeout=60)
    calls = [line.split()[1].partition("(")[0] for line in traced.read_text().splitlines()]
    made = [call[:6] for call in calls if call.startswith(("fsync", "rename"))]
    assert made == [*("fsync", "rename", "fsync"), *("fsync", "rename") * 2, "fsync"]
