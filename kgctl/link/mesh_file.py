"""Strict reader of mesh files, which list the clusters to link and the settings for it.

``kgctl.link.mesh_format`` has the schema. This module also checks what a schema cannot express,
such as that names refer to clusters.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from kgctl.link.mesh_format import ACCEPTED, CIDR, FORMS, Cluster, MeshFile, mesh_schema
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.text import nearest, printable
from kgctl.state.marked_yaml import PlacedError, read_bounded, read_marked_yaml
from kgctl.state.yaml_schema import SchemaError, converted

if TYPE_CHECKING:
    from kgctl.state.marked_yaml import MarkedYaml, ValuePath

_LARGEST = 1 << 20  # bytes


class MeshFileError(PlacedError):
    """A mesh file has an invalid value; the message begins with FILE:LINE:COLUMN."""


def read_mesh_file(path: Path) -> MeshFile:
    """Read a mesh file.

    Raises:
        kgctl.state.marked_yaml.PlacedError: it cannot be read, is not YAML, or has an invalid
            value.
    """
    content = read_bounded(path, _LARGEST, PlacedError)
    return parse_mesh(str(path), content)


def parse_mesh(label: str, content: bytes) -> MeshFile:
    """Parse the ``content`` of a mesh file; errors call the file ``label``.

    Raises:
        kgctl.state.marked_yaml.PlacedError: it is not YAML, or has an invalid value.
    """
    document = read_marked_yaml(label, content)
    mesh = decoded(document)
    _References(document, mesh).check()
    return mesh


def decoded(document: MarkedYaml) -> MeshFile:
    """Convert a document by the schema.

    Raises:
        MeshFileError: the schema does not allow it.
    """
    try:
        return converted(document, MeshFile, mesh_schema, FORMS)
    except SchemaError as error:
        raise MeshFileError(str(error)) from None


class _References:
    """Checks the references between the parts of a file."""

    def __init__(self, document: MarkedYaml, mesh: MeshFile) -> None:
        self._document = document
        self._mesh = mesh
        self._names = [one.name for one in mesh.clusters]

    def check(self) -> None:
        """Check all references.

        Raises:
            MeshFileError: a name or a network is invalid, or is listed twice.
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
            raise self._fault((*path, "name"), f'a cluster above is also called "{cluster.name}"')
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
                raise self._fault((*path, at), "this pair of clusters is already listed above")
            if self._mesh.hubs and not names & set(self._mesh.hubs):
                raise self._fault((*path, at), "neither of the two is a hub: they are not linked")
            seen.add(names)

    def _known(self, path: ValuePath, name: str) -> None:
        if name not in self._names:
            near = nearest(name, self._names)
            hint = f'did you mean "{near}"?' if near else f"known: {', '.join(self._names)}"
            raise self._fault(path, f'there is no cluster "{name}"; {hint}')

    def _once(self, names: tuple[str, ...], path: ValuePath) -> None:
        for at, name in enumerate(names):
            if name in names[:at]:
                raise self._fault((*path, at), f'"{name}" is listed twice')

    def _cidr(self, path: ValuePath, text: str, form: str = CIDR) -> None:
        if parse_cidr(text) is None:
            raise self._fault(path, f'"{printable(text, 60)}" is not {FORMS[form]}')

    def _fault(self, path: ValuePath, text: str) -> MeshFileError:
        return MeshFileError(f"{self._document.place(path)}: {text}")


def located(mesh_file: Path, path: str) -> Path:
    """Resolve a path of the file: relative to the directory of the file."""
    return mesh_file.parent / re.sub(r"^~(?=/|$)", lambda _: str(Path.home()), path)
