"""KG5xx: the cluster as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import CLUSTER, ERROR, Found, Rule
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts

_APPLY = "kubectl apply -f https://raw.githubusercontent.com/squat/kilo/main/manifests/crds.yaml"


def _no_ready_node(facts: Facts) -> Iterator[Found]:
    if facts.state.nodes and not facts.ready_nodes and not facts.never_ran:
        yield Found(
            CLUSTER,
            "",
            f"none of its {len(facts.state.nodes)} nodes is ready",
            "there is no network: no graph, no configuration",
            "see the findings on the nodes; a snapshot is judged as of its own time with "
            "--at newest",
        )


def _no_crd(facts: Facts) -> Iterator[Found]:
    if facts.never_ran:
        return  # KG009
    if facts.subject.peers_served is False and not facts.subject.peer_versions:
        yield Found(
            CLUSTER,
            "",
            "the CustomResourceDefinition peers.kilo.squat.ai is not installed",
            "there can be no peers, and Kilo's agents wait for it",
            _APPLY,
        )


def _other_version(facts: Facts) -> Iterator[Found]:
    if facts.subject.peers_served is not True and facts.subject.peer_versions:
        versions = ", ".join(printable(one, 60) for one in facts.subject.peer_versions)
        yield Found(
            CLUSTER,
            "",
            f"Peers are of version {versions}; Kilo and kgctl read v1alpha1",
            "the peers of that version are not seen: none of them gets in",
            _APPLY,
        )


RULES = (
    Rule("KG501", "no-ready-node", ERROR, "No node is ready: there is no network.",
         _no_ready_node),
    Rule("KG502", "crd-missing", ERROR, "The cluster has no CRD for peers.", _no_crd),
    Rule("KG503", "crd-of-another-version", ERROR, "Peers are of another version.",
         _other_version),
)  # fmt: skip
