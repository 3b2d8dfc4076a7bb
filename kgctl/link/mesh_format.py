"""The format of mesh files, and its JSON Schema.

The classes below are the format. msgspec validates files and generates the schema by them, so the
two cannot drift apart.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from kgctl.state.yaml_schema import without_indentation

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_OBJECT = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_NAMESPACE = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_DATA_KEY = r"^[-._a-zA-Z0-9]{1,253}$"
CIDR = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)/[0-9]{1,3}$"
ACCEPTED = r"^[^=\s]{1,253}=[0-9A-Fa-f:.]+/[0-9]{1,3}$"
_SERVICE = r"^([a-z0-9-]+=)?[a-z0-9-]+/[a-z0-9-]+$"

FORMS = {
    _NAME: "a name of lower-case letters, digits and hyphens, 40 characters at most",
    _OBJECT: "the name of an object in Kubernetes",
    _NAMESPACE: "the name of a namespace",
    _DATA_KEY: "a key of a Secret's data",
    CIDR: "a CIDR such as 10.43.0.0/16",
    ACCEPTED: "NODE=CIDR, such as edge-1=198.51.100.0/24",
    _SERVICE: "a service such as web/frontend or eu=web/frontend",
}
"""A description of each regular expression, for errors."""

_Text = Annotated[str, Meta(min_length=1)]
_ClusterName = Annotated[str, Meta(pattern=_NAME)]
_CidrText = Annotated[str, Meta(pattern=CIDR)]
_Paths = Annotated[tuple[_Text, ...], Meta(min_length=1)]
_EITHER = (
    {"required": ["manifests"]},
    {"anyOf": [{"required": ["context"]}, {"required": ["kubeconfig"]}]},
)
_SOURCES = [{"required": [name]} for name in ("file", "secret", "mode")]


class Sharing(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"internal_ips": "internalIPs", "location_ips": "locationIPs"},
):
    """The networks of the cluster that the others get. The rest stays unreachable for them."""

    pods: Annotated[bool, Meta(description="The pod subnets of its nodes.")] = True
    services: Annotated[bool, Meta(description="Its serviceCIDRs.")] = True
    internal_ips: Annotated[bool, Meta(description="The internal IPs of its nodes.")] = True
    location_ips: Annotated[
        bool, Meta(description="Its nodes' annotations kilo.squat.ai/allowed-location-ips.")
    ] = False
    cidrs: Annotated[
        tuple[_CidrText, ...], Meta(description="Further networks reached through its nodes.")
    ] = ()


class Limiting(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Limits that the others set for the cluster's claims, regardless of its annotations."""

    only_networks: Annotated[
        tuple[_CidrText, ...], Meta(description="Only networks within these.")
    ] = ()
    deny: Annotated[
        tuple[_CidrText, ...], Meta(description="Nothing in these networks; wins over accept.")
    ] = ()
    accept: Annotated[
        tuple[Annotated[str, Meta(pattern=ACCEPTED)], ...],
        Meta(
            description="NODE=CIDR: public, wide or new networks that this node may claim. "
            "* is any node."
        ),
    ] = ()


class Cluster(
    Struct, frozen=True, forbid_unknown_fields=True, rename={"service_cidrs": "serviceCIDRs"}
):
    """A cluster: a context of a kubeconfig, or manifests. Paths are relative to this file."""

    name: Annotated[_ClusterName, Meta(description="Its name, which its Peers elsewhere have.")]
    context: Annotated[
        _Text | UnsetType, Meta(description="The context. Default: the kubeconfig's current one.")
    ] = UNSET
    kubeconfig: Annotated[
        _Text | UnsetType, Meta(description="The kubeconfig file. Default: that of kubectl.")
    ] = UNSET
    manifests: Annotated[
        _Paths | UnsetType, Meta(description="Files or directories that stand for the cluster.")
    ] = UNSET
    service_cidrs: Annotated[
        tuple[_CidrText, ...] | UnsetType,
        Meta(description="Its service networks. Default: read from the cluster. []: none."),
    ] = UNSET
    share: Sharing = Sharing()
    limits: Limiting = Limiting()

    def __post_init__(self) -> None:
        """Check that the cluster has exactly one source.

        Raises:
            ValueError: it has none, or two; msgspec adds the path.
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
    """A Secret that kgctl does not manage, in one cluster of the pair or in both."""

    name: Annotated[str, Meta(pattern=_OBJECT)]
    namespace: Annotated[str, Meta(pattern=_NAMESPACE)] | UnsetType = UNSET
    key: Annotated[
        str, Meta(pattern=_DATA_KEY, description="The key of its data; the value is base64.")
    ] = "presharedKey"


class PairKey(Struct, frozen=True, forbid_unknown_fields=True):
    """The source of the preshared key of two clusters."""

    clusters: Annotated[tuple[_ClusterName, _ClusterName], Meta(description="The pair.")]
    file: Annotated[
        _Text | UnsetType, Meta(description="A file of mode 0600, as genpsk writes it.")
    ] = UNSET
    secret: SecretReference | UnsetType = UNSET
    mode: Literal["none", "generate"] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Check that the key has exactly one source.

        Raises:
            ValueError: it has none, or several; msgspec adds the path.
        """
        given = [one for one in ("file", "secret", "mode") if getattr(self, one) is not UNSET]
        if len(given) != 1:
            said = " and ".join(given) or "none of them"
            raise ValueError(f"give one of file, secret and mode, not {said}")


class PresharedKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """The sources of preshared keys. Each pair of linked clusters has one key."""

    default: Annotated[
        Literal["none", "generate"],
        Meta(description="generate: kgctl makes a key and keeps it in a Secret of both clusters."),
    ] = "none"
    namespace: Annotated[
        str, Meta(pattern=_NAMESPACE, description="The namespace of the Secrets.")
    ] = "kube-system"
    pairs: tuple[Annotated[PairKey, Meta(extra_json_schema={"oneOf": _SOURCES})], ...] = ()


class MeshFile(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Clusters that kgctl link joins into one network."""

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
        Meta(description="Services to mirror to all others: [CLUSTER=]NAMESPACE/SERVICE."),
    ] = ()
    preshared_keys: Annotated[
        Literal["none", "generate"] | PresharedKeys,
        Meta(description="none, generate, or settings for each pair."),
    ] = "none"

    @property
    def hubs(self) -> tuple[str, ...]:
        """The names of the hubs; empty for a full mesh."""
        return self.topology.hubs if isinstance(self.topology, HubAndSpoke) else ()

    @property
    def keys(self) -> PresharedKeys:
        """The sources of preshared keys."""
        if isinstance(self.preshared_keys, PresharedKeys):
            return self.preshared_keys
        return PresharedKeys(default=self.preshared_keys)


def mesh_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the format."""
    made = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(MeshFile)))
    return {"$schema": _DIALECT, "title": "Mesh", **without_indentation(made)}
