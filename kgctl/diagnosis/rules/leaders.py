"""KG32x: who leads a segment, where Kilo's agents know more than what was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import INFO, LOCATION, Found, Rule
from kgctl.mesh.leader import disputes
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts

_SHOWN = 5


def _undecided(facts: Facts) -> Iterator[Found]:
    for one in () if facts.topology is None else disputes(facts.topology):
        if one.acting is not None:
            continue  # the annotations tell, and everything here follows them
        possible = some([printable(node.name) for node in one.possible], _SHOWN)
        yield Found(
            LOCATION,
            one.segment.name,
            f"a DNS name decides whether {possible} leads, and no wireguard-ip tells",
            f"agents resolve names before they choose; {printable(one.elected.name)} is taken for "
            "the leader here, so links to this location may be shown to the wrong machine",
            "look again in a minute, when agents have written who leads; in files for CI, set the "
            "annotation kilo.squat.ai/leader on the node that is to lead",
        )


RULES = (
    Rule("KG320", "leader-by-name", INFO, "Who leads depends on what a DNS name resolves to.",
         _undecided),
)  # fmt: skip
