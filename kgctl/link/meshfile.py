"""The file that says which clusters are to be linked, and how: read strictly, and its schema.

The classes below are the format. msgspec reads by them and makes the JSON Schema of them, so the
two cannot drift apart; what a schema cannot say, names that refer to others say, is checked here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from kgctl.cluster.markedyaml import MarkedYaml, PlacedError, ValuePath, read_marked_yaml
from kgctl.link.meshwords import Words
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.text import nearest, printable

API_VERSION, KIND = "kgctl.dev/v1alpha1", "Mesh"
SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_LARGEST = 1 << 20  # bytes
_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_OBJECT = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_NAMESPACE = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_DATA_KEY = r"^[-._a-zA-Z0-9]{1,253}$"
_CIDR = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)/[0-9]{1,3}$"
_SERVICE = r"^([a-z0-9-]+=)?[a-z0-9-]+/[a-z0-9-]+$"

_WORDS = Words(
    {
        _NAME: "a name of lower-case letters, digits and hyphens, 40 characters at most",
        _OBJECT: "the name of an object in Kubernetes",
        _NAMESPACE: "the name of a namespace",
        _DATA_KEY: "a key of a Secret's data",
        _CIDR: "a CIDR, as 10.43.0.0/16 is",
        _SERVICE: "a service, as web/frontend or eu=web/frontend is",
    }
)

_Text = Annotated[str, Meta(min_length=1)]
_ClusterName = Annotated[str, Meta(pattern=_NAME)]
_CidrText = Annotated[str, Meta(pattern=_CIDR)]
_Paths = Annotated[tuple[_Text, ...], Meta(min_length=1)]
_EITHER = (
    {"required": ["manifests"]},
    {"anyOf": [{"required": ["context"]}, {"required": ["kubeconfig"]}]},
)
_SOURCES = [{"required": [name]} for name in ("file", "secret", "mode")]


class MeshFileError(PlacedError):
    """The file says something that it cannot say; the message begins with FILE:LINE:COLUMN."""


class Shared(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"internal_ips": "internalIPs", "location_ips": "locationIPs"},
):
    """Which of the cluster's networks the others get. What is not shared reaches no other."""

    pods: Annotated[bool, Meta(description="The pod subnets of its nodes.")] = True
    services: Annotated[bool, Meta(description="Its serviceCIDRs.")] = True
    internal_ips: Annotated[bool, Meta(description="The internal IPs of its nodes.")] = True
    location_ips: Annotated[
        bool, Meta(description="Its nodes' annotations kilo.squat.ai/allowed-location-ips.")
    ] = False
    cidrs: Annotated[
        tuple[_CidrText, ...], Meta(description="More networks that its nodes lead to.")
    ] = ()


class Cluster(
    Struct, frozen=True, forbid_unknown_fields=True, rename={"service_cidrs": "serviceCIDRs"}
):
    """A cluster: a context of a kubeconfig, or manifests. Paths are relative to this file."""

    name: Annotated[_ClusterName, Meta(description="What its Peers elsewhere are called by.")]
    context: Annotated[
        _Text | UnsetType, Meta(description="The context; else the kubeconfig's current one.")
    ] = UNSET
    kubeconfig: Annotated[
        _Text | UnsetType, Meta(description="The kubeconfig file; else as kubectl finds it.")
    ] = UNSET
    manifests: Annotated[
        _Paths | UnsetType, Meta(description="Files or directories that stand for the cluster.")
    ] = UNSET
    service_cidrs: Annotated[
        tuple[_CidrText, ...], Meta(description="The networks of its services.")
    ] = ()
    share: Shared = Shared()

    def __post_init__(self) -> None:
        """Make sure that the cluster comes from somewhere, and from one place.

        Raises:
            ValueError: it does not; msgspec adds where.
        """
        live = [name for name in ("context", "kubeconfig") if getattr(self, name)]
        if bool(live) == bool(self.manifests):
            both = f"both {live[0]} and manifests" if live else "neither a context, a kubeconfig"
            said = both if live else f"{both} nor manifests"
            raise ValueError(f'cluster "{self.name}" has {said}: give one of them')


class HubAndSpoke(Struct, frozen=True, forbid_unknown_fields=True):
    """Hubs are linked with every cluster, the others with the hubs alone.

    The others reach one another through the first hub.
    """

    hubs: Annotated[
        tuple[_ClusterName, ...], Meta(min_length=1, description="The names of the hubs.")
    ]


class SecretReference(Struct, frozen=True, forbid_unknown_fields=True):
    """A Secret, in one cluster of the pair or in both, that somebody else keeps."""

    name: Annotated[str, Meta(pattern=_OBJECT)]
    namespace: Annotated[str, Meta(pattern=_NAMESPACE)] | UnsetType = UNSET
    key: Annotated[
        str, Meta(pattern=_DATA_KEY, description="The key of its data; the value is base64.")
    ] = "presharedKey"


class PairKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the preshared key of two clusters comes from."""

    clusters: Annotated[tuple[_ClusterName, _ClusterName], Meta(description="The two.")]
    file: Annotated[
        _Text | UnsetType, Meta(description="A file of mode 0600, as genpsk makes it.")
    ] = UNSET
    secret: SecretReference | UnsetType = UNSET
    mode: Literal["none", "generate"] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Make sure that it comes from one place.

        Raises:
            ValueError: it does not; msgspec adds where.
        """
        given = [one for one in ("file", "secret", "mode") if getattr(self, one) is not UNSET]
        if len(given) != 1:
            said = " and ".join(given) or "none of them"
            raise ValueError(f"give one of file, secret and mode, not {said}")


class PresharedKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """Where preshared keys come from; there is one for each two clusters that are linked."""

    default: Annotated[
        Literal["none", "generate"],
        Meta(description="generate: kgctl makes one, and keeps it in a Secret of both clusters."),
    ] = "none"
    namespace: Annotated[
        str, Meta(pattern=_NAMESPACE, description="The namespace of the Secrets.")
    ] = "kube-system"
    pairs: tuple[Annotated[PairKey, Meta(extra_json_schema={"oneOf": _SOURCES})], ...] = ()


class MeshFile(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Clusters that kgctl link makes one network."""

    api_version: Literal["kgctl.dev/v1alpha1"]
    kind: Literal["Mesh"]
    clusters: Annotated[
        tuple[Annotated[Cluster, Meta(extra_json_schema={"oneOf": list(_EITHER)})], ...],
        Meta(min_length=2),
    ]
    topology: Annotated[
        Literal["full"] | HubAndSpoke,
        Meta(description="full: every cluster is linked with every other."),
    ] = "full"
    allow: Annotated[
        tuple[Literal["overlap", "endpoints", "keys", "granularity"], ...],
        Meta(description="Checks that may fail."),
    ] = ()
    prune: Annotated[bool, Meta(description="Remove links to segments that are gone.")] = False
    mirror: Annotated[
        tuple[Annotated[str, Meta(pattern=_SERVICE)], ...],
        Meta(description="Services that all others get, too: [CLUSTER=]NAMESPACE/SERVICE."),
    ] = ()
    preshared_keys: Annotated[
        Literal["none", "generate"] | PresharedKeys,
        Meta(description="none, generate, or more exactly."),
    ] = "none"

    @property
    def hubs(self) -> tuple[str, ...]:
        """The names of the hubs; none where every cluster is linked with every other."""
        return self.topology.hubs if isinstance(self.topology, HubAndSpoke) else ()

    @property
    def keys(self) -> PresharedKeys:
        """Where preshared keys come from."""
        if isinstance(self.preshared_keys, PresharedKeys):
            return self.preshared_keys
        return PresharedKeys(default=self.preshared_keys)


def mesh_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the format."""
    made = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(MeshFile)))
    return {"$schema": SCHEMA_DIALECT, "title": KIND, **made}


def read_mesh_file(path: Path) -> MeshFile:
    """Read the file.

    Raises:
        kgctl.cluster.markedyaml.PlacedError: it cannot be read, is no YAML, or says what it cannot
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
        kgctl.cluster.markedyaml.PlacedError: it is no YAML, or says what it cannot say.
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
        for at, text in enumerate(cluster.service_cidrs):
            self._cidr((*path, "serviceCIDRs", at), text)
        for at, text in enumerate(cluster.share.cidrs):
            self._cidr((*path, "share", "cidrs", at), text)

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

    def _cidr(self, path: ValuePath, text: str) -> None:
        if parse_cidr(text) is None:
            raise self._fault(path, f'"{printable(text, 60)}" is not {_WORDS.form(_CIDR)}')

    def _fault(self, path: ValuePath, text: str) -> MeshFileError:
        return MeshFileError(f"{self._document.place(path)}: {text}")


def located(mesh_file: Path, path: str) -> Path:
    """Return where a path of the file leads: from the directory that the file is in."""
    return mesh_file.parent / re.sub(r"^~(?=/|$)", lambda _: str(Path.home()), path)
