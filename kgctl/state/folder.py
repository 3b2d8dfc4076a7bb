"""A folder as a network without nodes: the source, and the store of its Peers.

``network.yaml`` names the network, and each machine has a manifest ``NAME.yaml`` with its Peer.
Manifests in directories below count too, and a file may hold several objects.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import (
    AlreadyExistsError,
    ClusterError,
    ConflictError,
    ManifestError,
    NotFoundError,
)
from kgctl.kilo import API_VERSION
from kgctl.mesh.endpoint import is_dns_name
from kgctl.mesh.text import NotTextError, decoded, printable
from kgctl.state.interface import Objects
from kgctl.state.manifest_files import manifest_files
from kgctl.state.manifests import NO_OBJECTS, objects_in
from kgctl.state.marked_yaml import read_bounded
from kgctl.state.network_folder import FILE, KEYS
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kgctl.kube.objects import Advance
    from kgctl.kube.stored import Object
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.network import Network
    from kgctl.state.interface import Kind
    from kgctl.wireguard.keys import PrivateKey

LARGEST = 1 << 20
"""The largest manifest that is read, in bytes; one machine needs less than a thousand."""

_ENDING = ".yaml"
_NOT_MANIFESTS = (FILE, "network.schema.json")
_MOST_KEYS = 100  # files of one machine: NAME.key, NAME-2.key and so on


class Folder:
    """The source that reads a folder with a ``network.yaml``."""

    def __init__(self, path: Path, advance: Advance | None = None) -> None:
        """Take the folder; ``advance`` receives the progress in the current file, in characters."""
        self.path = path
        self._advance = advance

    def read(self) -> Objects:
        """Read the network, and every Peer in and below the folder.

        Raises:
            kgctl.state.marked_yaml.PlacedError: ``network.yaml`` has an invalid value.
            ManifestError: a file cannot be read, or is neither YAML nor JSON; or two of them hold
                the same Peer.
        """
        network = self.network()
        peers: list[Mapping[str, Any]] = []
        places: dict[str, str] = {}
        unread: dict[str, str] = {}
        passed_over: dict[str, int] = {}
        now = time.time()
        for label, content in self._contents():
            found = objects_in([(label, content, True)], self._advance)
            for one, why in found.unread.items():
                if why != NO_OBJECTS:  # a peer may be in it, such as one that git could not merge
                    raise ManifestError(f"{one}: {why}")
            unread.update(found.unread)
            if found.nodes:
                unread[label] = "this network has no Nodes"
            for kind, count in found.passed_over.items():
                passed_over[kind] = passed_over.get(kind, 0) + count
            for peer in found.peers:
                _once(places, peer_name(peer), label)
                peers.append(peer)
        return Objects([], peers, passed_over, unread, now, network)

    def names(self, kind: Kind) -> Sequence[str]:
        """Return the names of all peers; there are no nodes."""
        return [] if kind == "nodes" else [peer_name(peer) for peer in self.read().peers]

    def network(self) -> Network:
        """Return what ``network.yaml`` says.

        Raises:
            kgctl.state.marked_yaml.PlacedError: it has an invalid value.
            ManifestError: it cannot be read.
        """
        from kgctl.state.network_file import parse_network

        path = self.path / FILE
        return parse_network(str(path), _read(path))

    def peers(self) -> PeerFiles:
        """Return the store of the Peers."""
        return PeerFiles(self.path)

    @property
    def keys(self) -> Path:
        """The directory with private keys."""
        return self.path / KEYS

    def private_key(self, name: str, public_key: PublicKey | None) -> PrivateKey | None:
        """Return the private key of the machine ``name`` in ``keys``, or None if it is not there.

        Of NAME.key, NAME-2.key and so on, that is the one that belongs to ``public_key``.

        Raises:
            KeyFileError: a file cannot be read, or holds no key.
        """
        from kgctl.wireguard.keys import read_private_key

        for path in self._key_files(name):
            key = read_private_key(path)
            if key.public_key() == public_key:
                return key
        return None

    def rename_keys(self, name: str, new: str) -> None:
        """Give the private keys of the machine ``name`` its new name.

        Raises:
            kgctl.files.atomic.OutputFileError: a file cannot be renamed.
        """
        from kgctl.files.atomic import rename_unfollowed

        for path in list(self._key_files(name)):
            rename_unfollowed(path, new + path.name.removeprefix(name))

    def _key_files(self, name: str) -> Iterator[Path]:
        """Yield NAME.key, NAME-2.key and so on, up to one that does not exist."""
        for number in range(1, _MOST_KEYS) if is_dns_name(name) else ():
            path = self.keys / (f"{name}.key" if number == 1 else f"{name}-{number}.key")
            if not path.exists():
                return
            yield path

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        for path in _manifests(self.path):
            yield printable(str(path)), _read(path)


def _once(places: dict[str, str], name: str, label: str) -> None:
    if name in places:
        raise ManifestError(
            f"the peer {printable(name)} is in {places[name]} and in {label}: remove one of them, "
            "or give it another name"
        )
    places[name] = label


def _manifests(folder: Path) -> Iterator[Path]:
    special = {folder / name for name in _NOT_MANIFESTS}
    for file in manifest_files(str(folder)):
        if file.path not in special and folder / KEYS not in file.path.parents:
            yield file.path


def _read(path: Path) -> bytes:
    return read_bounded(path, LARGEST, ManifestError)


class EditError(ClusterError):
    """A file is written in a way in which kgctl cannot change it."""


class _Found(NamedTuple):
    """A Peer in a file: which one of its objects it is, and whether it is the only one."""

    path: Path
    content: bytes
    peer: Object
    alone: bool

    @property
    def version(self) -> str:
        """A text that differs for every content of the file."""
        return hashlib.sha256(self.content).hexdigest()[:32]

    def answer(self) -> Object:
        """Return the Peer with its version."""
        metadata = {**self.peer["metadata"], "resourceVersion": self.version}
        return {**self.peer, "metadata": metadata}


class PeerFiles:
    """The Peers of a folder, as decoded JSON, each in a file that people may edit as well.

    Their version is a hash of the file. A change keeps all that it is not about: comments, order,
    quotes. It is made under a lock on the folder, and replaces the file at once. Symbolic links are
    not followed for writing. ``PeerStore`` in ``kgctl.state.interface`` describes the methods.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> Object:
        """Return the Peer ``name``."""
        return self._find(name).answer()

    def create(self, peer: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create the file of ``peer``."""
        from kgctl.files.atomic import create_public
        from kgctl.kube.codec.structured import to_yaml

        name = str(peer["metadata"]["name"])
        path = self._path(name)
        wanted = _stored(peer)
        content = to_yaml(wanted).encode()
        with self._locked(dry_run):
            found = self._search(name)
            if found is not None:
                raise AlreadyExistsError(
                    f"the peer {name} already exists, in {_shown(found.path)}", 409, "AlreadyExists"
                )
            if path.is_symlink() or path.exists():
                raise ClusterError(
                    f"{_shown(path)} exists, and does not hold the peer {name}: choose another "
                    "name, or rename the file"
                )
            if not dry_run:
                try:
                    create_public(path, content)
                except OSError as error:
                    raise _unwritable(path, error) from None
        return _Found(path, content, wanted, alone=True).answer()

    def replace(self, peer: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Replace the version of ``peer`` that ``metadata.resourceVersion`` names."""
        name = str(peer["metadata"]["name"])
        with self._locked(dry_run):
            found = self._find(name)
            _check_version(found, peer["metadata"].get("resourceVersion"))
            return self._write(found, _stored(peer), dry_run).answer()

    def patch(self, name: str, patch: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Apply a JSON merge patch to the Peer ``name``."""
        with self._locked(dry_run):
            found = self._find(name)
            wanted = _merged(found.peer, patch)
            _check_version(found, wanted["metadata"].pop("resourceVersion", None))
            return self._write(found, wanted, dry_run).answer()

    def delete(
        self,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> None:
        """Remove the file of the Peer ``name``."""
        from kgctl.files.atomic import remove_unfollowed

        with self._locked(dry_run):
            found = self._find(name)
            _check_version(found, resource_version)
            if not found.alone:
                raise EditError(
                    f"{_shown(found.path)} holds more than the peer {name}: remove it there"
                )
            if not dry_run:
                remove_unfollowed(found.path)

    def give_name(self, name: str, new: str, *, dry_run: bool = False) -> Object:
        """Give the Peer ``name`` a new name, and its file too if it is called after it.

        Raises:
            kgctl.errors.NotFoundError: it does not exist.
            kgctl.errors.AlreadyExistsError: the new name exists.
            kgctl.ClusterError: the file cannot be changed.
        """
        from kgctl.files.atomic import rename_unfollowed

        path = self._path(new)
        with self._locked(dry_run):
            found = self._find(name)
            if self._search(new) is not None or path.is_symlink() or path.exists():
                raise AlreadyExistsError(f"{_shown(path)} already exists", 409, "AlreadyExists")
            metadata = {**found.peer["metadata"], "name": new}
            renamed = self._write(found, {**found.peer, "metadata": metadata}, dry_run)
            # a stop between the two leaves a file whose name is not the Peer's, which is allowed
            if found.path == self._path(name) and not dry_run:
                rename_unfollowed(found.path, path.name)
        return renamed.answer()

    def _path(self, name: str) -> Path:
        """Return the file of a new Peer; its name cannot lead out of the folder."""
        if not is_dns_name(name):
            raise NotFoundError(f'no peer can be called "{printable(name)}"', 404, "NotFound")
        path = self._folder / f"{name}{_ENDING}"
        if path.name in _NOT_MANIFESTS:
            raise ClusterError(
                f"{path.name} is the file of the network itself: choose another name"
            )
        return path

    def _find(self, name: str) -> _Found:
        found = self._search(name)
        if found is None:
            raise NotFoundError(f'there is no peer named "{printable(name)}"', 404, "NotFound")
        return found

    def _search(self, name: str) -> _Found | None:
        """Return the Peer ``name``: from the file of this name, else from any other."""
        own = self._folder / f"{name}{_ENDING}"
        paths = list(_manifests(self._folder))
        for path in sorted(paths, key=lambda one: one != own):
            content = _read(path)
            text = _text(path, content)
            if name in text:
                found = _in_file(path, content, text, name)
                if found is not None:
                    return found
        return None

    def _write(self, found: _Found, wanted: Object, dry_run: bool) -> _Found:
        from kgctl.files.atomic import replace_unfollowed

        if wanted == found.peer:
            return found
        content = _changed(found, wanted)
        if not dry_run:
            replace_unfollowed(found.path, content)
        return found._replace(content=content, peer=wanted)

    @contextmanager
    def _locked(self, dry_run: bool) -> Iterator[None]:
        from kgctl.files.atomic import locked

        if dry_run:
            yield
            return
        with locked(self._folder):
            yield


def _shown(path: Path) -> str:
    return printable(str(path))


def _unwritable(path: Path, error: OSError) -> ClusterError:
    return ClusterError(f"cannot write {_shown(path)}: {error.strerror}")


def _stored(peer: Mapping[str, Any]) -> Object:
    """Return a Peer without what only its version is."""
    metadata = {
        key: value
        for key, value in peer["metadata"].items()
        if key not in ("resourceVersion", "uid")
    }
    return {**peer, "metadata": metadata}


def _check_version(found: _Found, version: str | None) -> None:
    if version is not None and version != found.version:
        raise ConflictError(
            f"{_shown(found.path)} was changed meanwhile: try again", 409, "Conflict"
        )


def _merged(value: object, patch: object) -> Any:
    """Return ``value`` after a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), change)
    return found


# --- Peers in the text of a file ---


_UNUSUAL = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What an edit of YAML raises that has anchors, tags or keys which are no text."""


class _Document(NamedTuple):
    node: Any
    value: Any


def _documents(path: Path, text: str) -> list[_Document]:
    import yaml

    from kgctl.kube.codec.yaml_loader import BoundedLoader

    found = []
    try:
        loader = BoundedLoader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                found.append(_Document(node, loader.construct_document(node)))
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = printable(" ".join(str(error).split()), 200)
        raise ManifestError(f"{_shown(path)}: neither YAML nor JSON: {problem}") from None
    return found


def _text(path: Path, content: bytes) -> str:
    try:
        return decoded(content)
    except NotTextError as error:
        raise ManifestError(f"{_shown(path)}: {error}") from None


def _in_file(path: Path, content: bytes, text: str, name: str) -> _Found | None:
    documents = [one for one in _documents(path, text) if one.value is not None]
    for one in documents:
        for peer in _peers_in(one.value):
            if peer_name(peer) == name:
                alone = len(documents) == 1 and peer is one.value
                return _Found(path, content, peer, alone)
    return None


def _peers_in(value: Any) -> Iterator[Object]:
    """Yield the Peer that a document is, or those in its list."""
    if not isinstance(value, dict):
        return
    if (value.get("apiVersion"), value.get("kind")) == (API_VERSION, "Peer"):
        yield value
    items = value.get("items")
    if str(value.get("kind", "")).endswith("List") and isinstance(items, list):
        for item in items:
            if isinstance(item, dict) and item.get("kind", "Peer") == "Peer":
                yield item


def _changed(found: _Found, wanted: Object) -> bytes:
    """Return the content of a file in which a Peer is as ``wanted``.

    Raises:
        EditError: the file is written in a way in which it cannot be changed.
    """
    from kgctl.state.yaml_edit import edited

    text = _text(found.path, found.content)
    documents = _documents(found.path, text)
    values = [one.value for one in documents]
    at = next((at for at, one in enumerate(documents) if one.value == found.peer), None)
    if at is None:
        raise _unchangeable(found)
    values[at] = wanted
    try:
        text = edited(text, documents[at].node, found.peer, wanted)
        right = [one.value for one in _documents(found.path, text)] == values
    except (ManifestError, *_UNUSUAL):
        right = False
    if not right:
        raise _unchangeable(found)
    return text.encode()


def _unchangeable(found: _Found) -> EditError:
    return EditError(
        f"{_shown(found.path)} is written in a way in which kgctl cannot change it (a list of "
        "objects, an anchor, a tag): change it by hand, or put the peer into a file of its own"
    )
