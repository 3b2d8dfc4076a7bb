"""KG720: what a node says of where it sees others, against what these say of themselves."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from kgctl.diagnosis.finding import NODE, WARNING, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.kilo import PREFIX
from kgctl.mesh.sightings import sightings
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.sightings import Sightings
    from kgctl.mesh.topology import Topology

_SHOWN = 3  # machines of which one node says something wrong


class _Word(NamedTuple):
    """What a node says of a machine."""

    of: str
    at: Endpoint
    known: Sightings

    def __str__(self) -> str:
        own = self.known.annotated
        others = f"which says {own} of itself" if own is not None else "which says nothing"
        return f"{self.of} at {self.at}, {others}"


def _seen_elsewhere(facts: Facts) -> Iterator[Found]:
    if facts.topology is None:
        return
    words: defaultdict[str, list[_Word]] = defaultdict(list)
    labels = _labels(facts.topology)
    for key, known in sightings(facts.topology).items():
        for endpoint, names in known.contradicted().items():
            for name in names:
                words[name].append(_Word(labels[key], endpoint, known))
    for name, said in words.items():
        yield Found(
            NODE,
            name,
            f"it says that it sees {some([str(one) for one in said], _SHOWN)}",
            "agents dial the first such word in place of what a machine says of itself, so one "
            "node can end the sessions of all; kgctl connect moves no session for it",
            f"kubectl annotate node {quoted(name)} {PREFIX}discovered-endpoints-; its agent writes "
            "what it really sees: if that stays so, either the machine has several ways "
            "out, or the node is not to be trusted",
        )


def _labels(topology: Topology) -> dict[PublicKey, str]:
    peers = {one.public_key: f"peer {printable(one.name)}" for one in topology.peers}
    segments = {one.key: f"node {printable(one.leader.name)}" for one in topology.segments}
    return {key: label for key, label in (peers | segments).items() if key is not None}


RULES = (
    Rule("KG720", "seen-elsewhere", WARNING,
         "A node reports another machine at an address that is not its own.",
         _seen_elsewhere),
)  # fmt: skip
