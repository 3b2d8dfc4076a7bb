"""A folder as a network: reading, and the store of its Peers."""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgctl.errors import (
    AlreadyExistsError,
    ClusterError,
    ConflictError,
    KgctlError,
    ManifestError,
    NotFoundError,
)
from kgctl.mesh.network import Network
from kgctl.state.folder import LARGEST, EditError, Folder
from kgctl.state.manifests import Manifests
from kgctl.state.network_file import new_network_file
from kgctl.state.network_folder import FILE, folder_around, is_network
from kgctl.state.objects import state_of
from tests.support.recorded_agents import cidr

KEYS = [f"{letter * 42}E=" for letter in "ABCDEFGH"]


def network(*pools: str) -> Network:
    return Network("home", tuple(map(cidr, pools or ("10.73.5.0/24", "fd73::/64"))))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return made(tmp_path / "net")


def made(path: Path) -> Folder:
    path.mkdir()
    (path / FILE).write_text(new_network_file(network()))
    return Folder(path)


def peer(name: str, address: str = "10.73.5.1/32", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": name},
        "spec": {"allowedIPs": [address], "publicKey": KEYS[0], **spec},
    }


def test_a_new_folder_is_a_network_without_machines(folder: Folder) -> None:
    objects = folder.read()
    assert (objects.nodes, objects.peers, objects.network) == ([], [], network())
    assert objects.unread == {}
    assert state_of(objects).network == network()


def test_what_is_created_is_read_by_any_reader_of_manifests(folder: Folder) -> None:
    stored = folder.peers().create(peer("laptop"))
    assert folder.peers().get("laptop") == stored
    assert folder.read().peers == [peer("laptop")]
    assert Manifests([str(folder.path / "laptop.yaml")]).read().peers == [peer("laptop")]


NAMES = st.sampled_from(["a", "b", "c-d", "e.f"])
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["create", "replace", "patch", "delete", "rename", "stale"]),
        NAMES,
        st.integers(0, 255),
        NAMES,
        st.booleans(),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_the_store_is_a_dictionary(actions: list[tuple[str, str, int, str, bool]]) -> None:
    with TemporaryDirectory() as directory:
        folder = made(Path(directory, "net"))
        model: dict[str, dict[str, Any]] = {}
        for what, name, number, other, dry_run in actions:
            before = dict(model)
            try:
                act(folder, model, what, (name, other), number, dry_run)
            except NotFoundError:
                assert name not in before
            except AlreadyExistsError:
                assert name in before if what == "create" else other in before
            except ConflictError:
                assert what == "stale"
            if dry_run:
                model = before
            assert sorted(map(str, folder.read().peers)) == sorted(map(str, model.values()))


def act(
    folder: Folder,
    model: dict[str, dict[str, Any]],
    what: str,
    names: tuple[str, str],
    number: int,
    dry_run: bool,
) -> None:
    store, (name, other) = folder.peers(), names
    wanted = peer(name, f"10.73.5.{number}/32", persistentKeepalive=number)
    if what == "create":
        store.create(wanted, dry_run=dry_run)
        model[name] = wanted
    elif what in ("replace", "stale"):
        found = store.get(name)
        if what == "stale":
            found["metadata"]["resourceVersion"] = "0" * 32
        found["spec"] = wanted["spec"]
        store.replace(found, dry_run=dry_run)
        model[name] = wanted
    elif what == "patch":
        store.patch(name, {"spec": {"allowedIPs": [f"10.73.6.{number}/32"]}}, dry_run=dry_run)
        spec = {**model[name]["spec"], "allowedIPs": [f"10.73.6.{number}/32"]}
        model[name] = {**model[name], "spec": spec}
    elif what == "delete":
        store.delete(name, dry_run=dry_run)
        del model[name]
    else:
        store.give_name(name, other, dry_run=dry_run)
        moved = model.pop(name)
        model[other] = {**moved, "metadata": {"name": other}}


WRITTEN = """\
# Alice's laptop: ask her before you change it
kind: Peer
apiVersion: kilo.squat.ai/v1alpha1
metadata: {name: alice}
spec:
  publicKey: "%s"   # made in May
  allowedIPs:
    - 10.73.5.9/32
"""


def test_comments_and_order_survive(folder: Folder) -> None:
    path = folder.path / "alice.yaml"
    path.write_text(WRITTEN % KEYS[0])
    path.chmod(0o640)
    store = folder.peers()
    store.patch("alice", {"spec": {"publicKey": KEYS[1]}})
    assert path.read_text() == WRITTEN.replace('"%s"', KEYS[1])
    store.give_name("alice", "bob")
    renamed = folder.path / "bob.yaml"
    assert renamed.read_text() == path_text(KEYS[1]).replace("{name: alice}", '{"name": "bob"}')
    assert renamed.stat().st_mode & 0o777 == 0o640
    assert not path.exists()


def path_text(key: str) -> str:
    return WRITTEN.replace('"%s"', key)


def test_one_of_several_objects_is_changed_and_not_removed(folder: Folder) -> None:
    path = folder.path / "all.yaml"
    path.write_text(f"{WRITTEN % KEYS[0]}---\n{WRITTEN.replace('alice', 'bob') % KEYS[1]}")
    folder.peers().patch("bob", {"spec": {"persistentKeepalive": 25}})
    assert path.read_text().startswith(WRITTEN % KEYS[0])
    assert path.read_text().endswith("- 10.73.5.9/32\n  persistentKeepalive: 25\n")
    with pytest.raises(EditError, match="holds more than the peer bob"):
        folder.peers().delete("bob")


def test_what_cannot_be_changed_says_so_and_stays(folder: Folder) -> None:
    path = folder.path / "alice.yaml"
    text = WRITTEN.replace('"%s"', "&key %s") % KEYS[0] + "  presharedKey: *key\n"
    path.write_text(text)
    with pytest.raises(EditError, match="change it by hand"):
        folder.peers().patch("alice", {"spec": {"publicKey": KEYS[1]}})
    assert path.read_text() == text


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".", "..", "A", "a\nb", "x" * 254])
def test_a_name_cannot_leave_the_folder(folder: Folder, name: str) -> None:
    with pytest.raises(KgctlError):
        folder.peers().create(peer(name))
    assert sorted(one.name for one in folder.path.parent.iterdir()) == ["net"]
    assert [one.name for one in folder.path.iterdir()] == [FILE]


def test_the_file_of_the_network_is_no_machine(folder: Folder) -> None:
    with pytest.raises(ClusterError, match=r"network\.yaml is the file of the network itself"):
        folder.peers().create(peer("network"))


def test_links_are_not_followed_for_writing(folder: Folder, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text(WRITTEN % KEYS[0])
    (folder.path / "alice.yaml").symlink_to(outside)
    (folder.path / "bob.yaml").symlink_to(tmp_path / "new.yaml")
    store = folder.peers()
    for call in (
        lambda: store.patch("alice", {"spec": {"publicKey": KEYS[1]}}),
        lambda: store.delete("alice"),
        lambda: store.create(peer("bob")),
    ):
        with pytest.raises(KgctlError):
            call()
    assert outside.read_text() == WRITTEN % KEYS[0]
    assert not (tmp_path / "new.yaml").exists()


def test_a_peer_in_two_files_is_an_error(folder: Folder) -> None:
    for name in ("alice", "copy"):
        (folder.path / f"{name}.yaml").write_text(WRITTEN % KEYS[0])
    with pytest.raises(ManifestError, match=r"alice is in .*alice\.yaml and in .*copy\.yaml"):
        folder.read()


def test_a_peer_anywhere_keeps_its_name(folder: Folder) -> None:
    (folder.path / "people").mkdir()
    (folder.path / "people" / "laptops.yaml").write_text(WRITTEN % KEYS[0])
    with pytest.raises(AlreadyExistsError, match=r"already exists, in .*people/laptops\.yaml"):
        folder.peers().create(peer("alice"))


def test_a_file_that_cannot_be_read_is_an_error(folder: Folder) -> None:
    """Its machine may have an address that must not be given away."""
    path = folder.path / "alice.yaml"
    path.write_text(f"<<<<<<< ours\n{WRITTEN % KEYS[0]}=======\n>>>>>>> theirs\n")
    with pytest.raises(ManifestError, match="neither YAML nor JSON"):
        folder.read()
    path.write_bytes(b"# " + b"x" * LARGEST)
    with pytest.raises(ManifestError, match="more than"):
        folder.read()


def test_other_files_are_passed_over(folder: Folder) -> None:
    (folder.path / "notes.yaml").write_text("people: [alice]\n")
    (folder.path / "node.yaml").write_text("{apiVersion: v1, kind: Node, metadata: {name: a}}\n")
    objects = folder.read()
    assert objects.nodes == []
    assert sorted(Path(one).name for one in objects.unread) == ["node.yaml", "notes.yaml"]


def test_two_people_change_one_version(folder: Folder) -> None:
    store = folder.peers()
    first = store.create(peer("alice"))
    second = store.get("alice")
    first["spec"]["persistentKeepalive"] = 25
    store.replace(first)
    with pytest.raises(ConflictError):
        store.replace(second)
    with pytest.raises(ConflictError):
        store.delete("alice", resource_version=second["metadata"]["resourceVersion"])


@pytest.mark.needs("git")
def test_the_additions_of_two_people_merge_in_git(folder: Folder, tmp_path: Path) -> None:
    def git(*arguments: str, at: Path = folder.path) -> None:
        names = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *names, *arguments], cwd=at, check=True, capture_output=True)

    git("init", "-b", "main")
    git("add", ".")
    git("commit", "-m", "start")
    clone = tmp_path / "clone"
    git("clone", ".", str(clone))
    folder.peers().create(peer("alice"))
    git("add", ".")
    git("commit", "-m", "alice")
    Folder(clone).peers().create(peer("bob", "10.73.5.2/32"))
    git("add", ".", at=clone)
    git("commit", "-m", "bob", at=clone)
    git("pull", "--no-rebase", "--no-edit", at=clone)
    assert sorted(Folder(clone).names("peers")) == ["alice", "bob"]


def test_the_search_goes_up_and_stops_at_home(folder: Folder, tmp_path: Path) -> None:
    below = folder.path / "people" / "travel"
    below.mkdir(parents=True)
    assert folder_around(below) == folder.path
    assert folder_around(tmp_path) is None
    assert folder_around(below, home=below.parent) is None


def test_a_file_of_another_program_is_no_network(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("version: 2\nethernets: {}\n")
    assert not is_network(tmp_path)
