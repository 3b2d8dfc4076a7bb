"""Records of another user: never trusted, since kgctl deletes what a record names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import HostError
from kgctl.host.record import (
    KnownPeer,
    Record,
    RecordFile,
    directory,
    network_namespace,
    record_to_show,
    recorded_interfaces,
)
from tests.files.users import MALLORY, ROOT, VICTIM, as_user, give, reachable

if TYPE_CHECKING:
    from collections.abc import Callable

LIE = Record(interface="kilo0", peer="bystander", peer_key="A" * 43 + "=", made_link=True)


def planted(folder: Path, record: Record = LIE) -> Path:
    """Return the file of a record that another user wrote."""
    path = folder / f"kilo0.{network_namespace()}.json"
    path.write_text(json.dumps(asdict(record)))
    path.chmod(0o644)
    return give(path, MALLORY)


@pytest.mark.needs("root")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    planted(tmp_path)
    give(tmp_path, MALLORY)
    file = RecordFile("kilo0", tmp_path)
    assert file.read() is None
    for act in (file.lock, file.remove, lambda: file.write(LIE)):
        with pytest.raises(HostError, match="the directory belongs to another user"):
            act()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.needs("root")
@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    file = RecordFile("kilo0", tmp_path / "open")
    with pytest.raises(HostError, match="others can write to the directory; chmod go-w it"):
        file.lock()
    with pytest.raises(HostError, match="others can write to the directory"):
        file.write(LIE)


@pytest.mark.needs("root")
def test_a_record_of_another_user_is_replaced(tmp_path: Path) -> None:
    """The directory was open to them once."""
    path = planted(tmp_path)
    file = RecordFile("kilo0", tmp_path)
    assert file.read() is None
    own = Record(interface="kilo0", pid=1)
    file.write(own)
    assert file.read() == own
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (ROOT, 0o600)


def links(folder: Path, name: str) -> Path:
    (folder / "elsewhere").write_text(json.dumps(asdict(LIE)))
    path = folder / name
    path.symlink_to("elsewhere")
    return path


def pipes(folder: Path, name: str) -> Path:
    os.mkfifo(folder / name)
    return folder / name


@pytest.mark.needs("root")
@pytest.mark.parametrize("plant", [links, pipes])
def test_a_record_is_a_file_and_nothing_else(
    tmp_path: Path, plant: Callable[[Path, str], Path]
) -> None:
    path = plant(tmp_path, f"kilo0.{network_namespace()}.json")
    file = RecordFile("kilo0", tmp_path)
    assert file.read() is None
    assert record_to_show("kilo0", tmp_path) is None
    file.write(Record(interface="kilo0"))
    assert path.is_file()
    assert not path.is_symlink()
    lock = plant(tmp_path, f"kilo0.{network_namespace()}.lock") if plant is pipes else None
    if lock is not None:
        with pytest.raises(HostError, match="it is not a regular file"):
            file.lock()


@pytest.mark.needs("root")
def test_a_lock_of_another_user_is_refused_and_a_link_not_followed(tmp_path: Path) -> None:
    lock = tmp_path / f"kilo0.{network_namespace()}.lock"
    lock.touch()
    give(lock, MALLORY)
    with pytest.raises(HostError, match="it belongs to another user"):
        RecordFile("kilo0", tmp_path).lock()
    lock.unlink()
    lock.symlink_to("made")
    with pytest.raises(HostError, match=r"cannot write .*\.lock: "):
        RecordFile("kilo0", tmp_path).lock()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"interface": "kilo1"},
        {"pid": "1"},
        {"made_link": 1},
        {"addresses": [1]},
        {"addresses": {"10.5.0.1/32": 1}, "peer": None},
        {"peer_key": ["x"]},
        {"peers": {"key": {"name": 1}}},
        {"peers": {"key": {"other": ""}}},
        {"peers": []},
    ],
)
def test_a_record_of_other_types_or_another_interface_counts_as_none(
    tmp_path: Path, change: dict[str, object]
) -> None:
    file = RecordFile("kilo0", tmp_path)
    file.write(Record(interface="kilo0", peers={"key": KnownPeer(name="a")}))
    assert file.read() is not None
    (path,) = tmp_path.glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert file.read() is None


def chosen(folder: Path, **variables: str) -> Path:
    """Return the directory that is taken with these variables."""

    def choose() -> Path:
        for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
            os.environ.pop(name, None)
        os.environ.update(variables)
        return directory()

    return as_user(os.geteuid(), choose)


@pytest.mark.needs("root")
def test_another_user_s_directory_is_not_passed_over(tmp_path: Path) -> None:
    """Two kgctl that do not see each other's locks would use one interface."""
    for name in ("theirs", "own"):
        (tmp_path / name).mkdir()
    give(tmp_path / "theirs", MALLORY)
    variables = {"XDG_RUNTIME_DIR": str(tmp_path / "own")}
    refused = (
        r"cannot keep records in .*/theirs \(the directory belongs to another user \(.*\)\); name"
    )
    with pytest.raises(HostError, match=refused):
        chosen(tmp_path, RUNTIME_DIRECTORY=str(tmp_path / "theirs"), **variables)
    assert list((tmp_path / "own").iterdir()) == []
    wanted = tmp_path / "new"
    assert chosen(tmp_path, RUNTIME_DIRECTORY=str(wanted), **variables) == wanted
    assert wanted.stat().st_mode & 0o777 == 0o755
    absent = str(tmp_path / "no" / "where")
    assert chosen(tmp_path, RUNTIME_DIRECTORY=absent, **variables) == tmp_path / "own" / "kgctl"


@pytest.mark.needs("root")
def test_what_a_service_s_user_recorded_is_shown(tmp_path: Path) -> None:
    known = Record(interface="kilo0", peers={"key": KnownPeer(name="ams-1")})
    planted(tmp_path, known)
    give(tmp_path, MALLORY)
    assert recorded_interfaces(tmp_path) == ["kilo0"]
    assert record_to_show("kilo0", tmp_path) == known
    assert record_to_show("kilo1", tmp_path) is None


@pytest.mark.needs("root", "unshare")
def test_connect_does_nothing_by_the_records_of_another_user(tmp_path: Path) -> None:
    planted(tmp_path)
    give(tmp_path, MALLORY)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps({
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }))  # fmt: skip
    argv = ["unshare", "--net", sys.executable, "-m", "kgctl", "connect", "laptop"]
    done = subprocess.run(
        [*argv, "--kubeconfig", str(kubeconfig)],
        env={**os.environ, "RUNTIME_DIRECTORY": str(tmp_path), "XDG_RUNTIME_DIR": ""},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"cannot keep records in {tmp_path} (the directory belongs to ")
    assert done.stderr.count("\n") == 1


@pytest.mark.needs("root")
def test_a_service_s_directory_may_be_behind_a_link_of_root_s() -> None:
    """As systemd makes it for a user that exists while the service runs: kgctl -> private/kgctl."""
    with reachable() as run:
        place, link = run / "private" / "kgctl", run / "kgctl"
        place.mkdir(parents=True)
        give(place, VICTIM)
        link.symlink_to("private/kgctl")

        def keep() -> Record | None:
            os.environ["RUNTIME_DIRECTORY"] = str(link)
            file = RecordFile("kilo0")
            file.lock()
            file.write(Record(interface="kilo0", pid=7))
            return file.read()

        found = as_user(VICTIM, keep)
        assert found is not None
        assert found.pid == 7
        with pytest.raises(HostError, match="the directory belongs to another user"):
            as_user(os.geteuid(), keep)
        assert record_to_show("kilo0", place) == found
