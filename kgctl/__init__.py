"""kgctl: the command line for Kilo networks, and its Python API.

Load a cluster, build its topology, render it::

    import kgctl

    topology = kgctl.load_cluster().topology()
    print(kgctl.to_dot(topology))

This module has all public names, except those for linking clusters, which are in ``kgctl.link``;
see docs/api.md. Names are imported on first use, so ``import kgctl`` takes almost no time.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # type checkers know the name; importing typing would be most of the start
if TYPE_CHECKING:
    from kgctl.errors import (
        AnswerError,
        ClusterError,
        ConnectionLostError,
        CredentialsError,
        ForbiddenError,
        InputError,
        KgctlError,
        KubeconfigError,
        ManifestError,
        MeshError,
        NotFoundError,
        OverloadedError,
        RequestTimeoutError,
        StatusError,
        TlsError,
        UnauthorizedError,
        UnreachableError,
    )
    from kgctl.mesh.agent_plan import (
        AgentOptions,
        AgentPlan,
        Compatibility,
        Encapsulation,
        agent_plan,
    )
    from kgctl.mesh.dialability import is_dialable, is_dialable_from_elsewhere
    from kgctl.mesh.difference import Difference, difference
    from kgctl.mesh.node import Node
    from kgctl.mesh.path.ends import find_end
    from kgctl.mesh.path.walk import find_path
    from kgctl.mesh.peer import InvalidPeer, Peer
    from kgctl.mesh.readiness import why_not_ready
    from kgctl.mesh.state import GranularityError, NoReadyNodesError, State, network_of
    from kgctl.mesh.topology import Segment, Topology
    from kgctl.render.graph.dot import to_dot
    from kgctl.reporter import Reporter
    from kgctl.state.interface import PeersNotServedError
    from kgctl.state.load import Cluster, load_cluster, load_example, load_files
    from kgctl.wireguard.conf import Configuration, node_configuration, peer_configuration
    from kgctl.wireguard.keys import KeyFileError, PrivateKey, read_private_key
    from kgctl.wireguard.quick import QuickSettings, quick_configuration

__all__ = [
    "AgentOptions",
    "AgentPlan",
    "AnswerError",
    "Cluster",
    "ClusterError",
    "Compatibility",
    "Configuration",
    "ConnectionLostError",
    "CredentialsError",
    "Difference",
    "Encapsulation",
    "ForbiddenError",
    "GranularityError",
    "InputError",
    "InvalidPeer",
    "KeyFileError",
    "KgctlError",
    "KubeconfigError",
    "ManifestError",
    "MeshError",
    "NoReadyNodesError",
    "Node",
    "NotFoundError",
    "OverloadedError",
    "Peer",
    "PeersNotServedError",
    "PrivateKey",
    "QuickSettings",
    "Reporter",
    "RequestTimeoutError",
    "Segment",
    "State",
    "StatusError",
    "TlsError",
    "Topology",
    "UnauthorizedError",
    "UnreachableError",
    "__version__",
    "agent_plan",
    "difference",
    "find_end",
    "find_path",
    "is_dialable",
    "is_dialable_from_elsewhere",
    "load_cluster",
    "load_example",
    "load_files",
    "network_of",
    "node_configuration",
    "peer_configuration",
    "quick_configuration",
    "read_private_key",
    "to_dot",
    "why_not_ready",
]

_PLACES = {
    "kgctl.errors": (
        "AnswerError ClusterError ConnectionLostError CredentialsError ForbiddenError "
        "InputError KgctlError KubeconfigError ManifestError MeshError NotFoundError "
        "OverloadedError RequestTimeoutError StatusError TlsError UnauthorizedError "
        "UnreachableError"
    ),
    "kgctl.state.interface": "PeersNotServedError",
    "kgctl.state.load": "Cluster load_cluster load_example load_files",
    "kgctl.mesh.agent_plan": "AgentOptions AgentPlan Compatibility Encapsulation agent_plan",
    "kgctl.mesh.difference": "Difference difference",
    "kgctl.mesh.dialability": "is_dialable is_dialable_from_elsewhere",
    "kgctl.mesh.node": "Node",
    "kgctl.mesh.path.ends": "find_end",
    "kgctl.mesh.path.walk": "find_path",
    "kgctl.mesh.peer": "InvalidPeer Peer",
    "kgctl.mesh.readiness": "why_not_ready",
    "kgctl.mesh.state": "GranularityError NoReadyNodesError State network_of",
    "kgctl.mesh.topology": "Segment Topology",
    "kgctl.render.graph.dot": "to_dot",
    "kgctl.reporter": "Reporter",
    "kgctl.wireguard.conf": "Configuration node_configuration peer_configuration",
    "kgctl.wireguard.keys": "KeyFileError PrivateKey read_private_key",
    "kgctl.wireguard.quick": "QuickSettings quick_configuration",
}


if not TYPE_CHECKING:  # else type checkers would accept any name

    def __getattr__(name: str) -> object:
        """Import a public name on first use (PEP 562)."""
        for module, names in _PLACES.items():
            if name in names.split():
                from importlib import import_module

                value = globals()[name] = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return [*__all__, *(name for name in globals() if name not in __all__)]
