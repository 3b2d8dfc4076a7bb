"""Steps that link clusters, and plans that put them in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError
from kgctl.mesh.text import printable
from kgctl.reporter import plain_setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kgctl.kube.stored import Object
    from kgctl.link.clusters import ClusterRef

PEER, SECRET, SERVICE, SLICE = "peer", "secret", "service", "endpointslice"
"""The kinds of objects that linking writes; the last two make up a mirrored service."""

ADD, CHANGE, REMOVE, STALE, SAME = "add", "change", "remove", "stale", "same"

_SIGNS = {ADD: "+", CHANGE: "~", REMOVE: "-", STALE: "?"}
_WRITES = (ADD, CHANGE, REMOVE)
_ORDER = (
    (SECRET, (ADD, CHANGE)),
    (PEER, (ADD, CHANGE)),
    (SERVICE, (ADD, CHANGE)),
    (SLICE, (ADD, CHANGE)),
    (SLICE, (REMOVE,)),
    (SERVICE, (REMOVE,)),
    (PEER, (REMOVE,)),
    (SECRET, (REMOVE,)),
)


class LinkError(KgctlError):
    """The clusters cannot be linked as they are, or were linked in part."""


class Step(NamedTuple):
    """An action on one object: ``fields`` are those that differ, ``details`` describe how.

    No detail holds a secret. With a ``patch``, the object is patched instead of applied. ``heir``
    is the Peer that takes over the key of a Peer to remove.
    """

    action: str
    name: str
    wanted: Object | None = None
    fields: tuple[str, ...] = ()
    uid: str | None = None
    kind: str = PEER
    namespace: str = ""
    details: tuple[str, ...] = ()
    patch: Object | None = None
    heir: str = ""

    @property
    def writes(self) -> bool:
        """Whether the step changes anything in the cluster."""
        return self.action in _WRITES


class Plan(NamedTuple):
    """The steps for each cluster. Its ``str`` is for people, and leaves out what stays."""

    clusters: Sequence[tuple[ClusterRef, Sequence[Step]]]

    def __str__(self) -> str:
        return self.text(plain_setting)

    def text(self, setting: Callable[[str], str]) -> str:
        """Return the plan for people; ``setting`` returns how to give a setting."""
        prune = setting("prune")
        return "\n".join(line for one in self.clusters for line in _lines(*one, prune))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not any(self.counts().values())

    def counts(self) -> dict[str, int]:
        """Return the number of steps that add, change and remove something, by action."""
        actions = [step.action for _, steps in self.clusters for step in steps]
        return {action: actions.count(action) for action in _WRITES}

    def ordered(self) -> list[tuple[ClusterRef, Step]]:
        """Return the steps that write something, in the order to make them.

        Secrets are written before the Peers that use their keys, sorted by cluster name (see
        ``kgctl.link.keys``). Additions and changes come before removals, so that nobody is cut off
        in between.
        """
        return list(self._ordered())

    def _ordered(self) -> Iterator[tuple[ClusterRef, Step]]:
        by_name = sorted(self.clusters, key=lambda one: one[0].name)
        for kind, actions in _ORDER:
            for ref, steps in by_name if kind == SECRET else self.clusters:
                for step in steps:
                    if step.kind == kind and step.action in actions:
                        yield ref, step


def _lines(ref: ClusterRef, steps: Sequence[Step], prune: str) -> Iterator[str]:
    """Yield a line for each step, and its details below."""
    changes = [step for step in steps if step.action != SAME]
    if changes:
        yield f"{printable(ref.name)}:"
    for step in changes:
        more = f" ({', '.join(step.fields)})" if step.fields else ""
        more += f" is stale; {prune} removes it" if step.action == STALE else ""
        name = f"{step.namespace}/{step.name}" if step.kind in (SERVICE, SLICE) else step.name
        yield f"  {_SIGNS[step.action]} {step.kind} {printable(name)}{more}"
        yield from (f"      {detail}" for detail in step.details)
