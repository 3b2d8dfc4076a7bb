"""The file that says which clusters are to be linked, and how: read strictly.

What it may say is in ``kgctl.link.meshformat``; what a schema cannot say, that names refer to
clusters, is checked here.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from kgctl.link.meshformat import ACCEPTED, CIDR, FORMS, Cluster, MeshFile, mesh_schema
from kgctl.link.meshwords import Words
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.text import nearest, printable
from kgctl.state.marked_yaml import MarkedYaml, PlacedError, ValuePath, read_marked_yaml

_LARGEST = 1 << 20  # bytes
_WORDS = Words(FORMS)


class MeshFileError(PlacedError):
    """The file says something that it cannot say; the message begins with FILE:LINE:COLUMN."""


def read_mesh_file(path: Path) -> MeshFile:
    """Read the file.

    Raises:
        kgctl.state.marked_yaml.PlacedError: it cannot be read, is no YAML, or says what it cannot
            say.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise PlacedError(f"cannot read {printable(str(path))}: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise PlacedError(f"{printable(str(path))} has more than {_LARGEST:,} bytes")
    return parse_mesh(str(path), content)


def parse_mesh(label: str, content: bytes) -> MeshFile:
    """Return what the ``content`` of a file says; errors call the file ``label``.

    Raises:
        kgctl.state.marked_yaml.PlacedError: it is no YAML, or says what it cannot say.
    """
    document = read_marked_yaml(label, content)
    mesh = decoded(document)
    _References(document, mesh).check()
    return mesh


def decoded(document: MarkedYaml) -> MeshFile:
    """Return what a document says, if the schema allows it.

    Raises:
        MeshFileError: it does not.
    """
    try:
        return msgspec.convert(document.value, MeshFile, strict=True)
    except msgspec.ValidationError as error:
        fault = _WORDS.fault(str(error), mesh_schema())
        place = document.place(fault.path, key=fault.at_key)
        raise MeshFileError(f"{place}: {fault.text}") from None


class _References:
    """What has to hold between the parts of a file."""

    def __init__(self, document: MarkedYaml, mesh: MeshFile) -> None:
        self._document = document
        self._mesh = mesh
        self._names = [one.name for one in mesh.clusters]

    def check(self) -> None:
        """Make sure that it does.

        Raises:
            MeshFileError: it does not.
        """
        for at, cluster in enumerate(self._mesh.clusters):
            self._cluster(("clusters", at), cluster)
        for at, hub in enumerate(self._mesh.hubs):
            self._known(("topology", "hubs", at), hub)
        self._once(self._mesh.hubs, ("topology", "hubs"))
        for at, service in enumerate(self._mesh.mirror):
            name, equals, _ = service.partition("=")
            if equals:
                self._known(("mirror", at), name)
        self._pairs()

    def _cluster(self, path: ValuePath, cluster: Cluster) -> None:
        if path[1] and cluster.name in self._names[: int(path[1])]:
            raise self._fault((*path, "name"), f'a cluster above is called "{cluster.name}", too')
        for at, text in enumerate(cluster.service_cidrs or ()):
            self._cidr((*path, "serviceCIDRs", at), text)
        for at, text in enumerate(cluster.share.cidrs):
            self._cidr((*path, "share", "cidrs", at), text)
        limits = cluster.limits
        for at, text in enumerate(limits.only_networks):
            self._cidr((*path, "limits", "onlyNetworks", at), text)
        for at, text in enumerate(limits.deny):
            self._cidr((*path, "limits", "deny", at), text)
        for at, text in enumerate(limits.accept):
            self._cidr((*path, "limits", "accept", at), text.rpartition("=")[2], ACCEPTED)

    def _pairs(self) -> None:
        path: ValuePath = ("presharedKeys", "pairs")
        seen: set[frozenset[str]] = set()
        for at, pair in enumerate(self._mesh.keys.pairs):
            for which, name in enumerate(pair.clusters):
                self._known((*path, at, "clusters", which), name)
            self._once(pair.clusters, (*path, at, "clusters"))
            names = frozenset(pair.clusters)
            if names in seen:
                raise self._fault((*path, at), "these two clusters stand above already")
            if self._mesh.hubs and not names & set(self._mesh.hubs):
                raise self._fault((*path, at), "neither of the two is a hub: they are not linked")
            seen.add(names)

    def _known(self, path: ValuePath, name: str) -> None:
        if name not in self._names:
            near = nearest(name, self._names)
            hint = f'did you mean "{near}"?' if near else f"there are {', '.join(self._names)}"
            raise self._fault(path, f'there is no cluster "{name}"; {hint}')

    def _once(self, names: tuple[str, ...], path: ValuePath) -> None:
        for at, name in enumerate(names):
            if name in names[:at]:
                raise self._fault((*path, at), f'"{name}" stands here twice')

    def _cidr(self, path: ValuePath, text: str, form: str = CIDR) -> None:
        if parse_cidr(text) is None:
            raise self._fault(path, f'"{printable(text, 60)}" is not {_WORDS.form(form)}')

    def _fault(self, path: ValuePath, text: str) -> MeshFileError:
        return MeshFileError(f"{self._document.place(path)}: {text}")


def located(mesh_file: Path, path: str) -> Path:
    """Return where a path of the file leads: from the directory that the file is in."""
    return mesh_file.parent / re.sub(r"^~(?=/|$)", lambda _: str(Path.home()), path)
