"""Forwarding between a tunnel and the networks behind a machine, in the words of each format.

The machine answers for its networks: packets from the tunnel leave it with its own address there,
so that hosts behind it need no route back. Nothing is undone that others may use: forwarding stays
on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Cidr


class Forwarding(NamedTuple):
    """The networks ``behind`` a machine, and those of the tunnel that are to reach them."""

    behind: tuple[Cidr, ...]
    sources: tuple[Cidr, ...]

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions of which there is something to forward."""
        reached = {cidr.version for cidr in self.behind}
        return tuple(sorted(reached & {cidr.version for cidr in self.sources}))

    @property
    def in_words(self) -> str:
        """What is forwarded, for a comment."""
        return f"forwards between the tunnel and {_listed(self.behind, ', ')} behind this machine"


_KERNEL = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
_PROGRAM = {4: "iptables", 6: "ip6tables"}


def hooks(forwarding: Forwarding) -> Iterator[str]:
    """Yield the lines of wg-quick: what it runs after it sets the interface up, and takes it down.

    ``%i`` is the interface. The rules go first, before those of a firewall that drops.
    """
    for version in forwarding.versions:
        yield f"PostUp = sysctl -qw {_KERNEL[version]}=1"
    for version in forwarding.versions:
        for rule in _rules(forwarding, version):
            yield f"PostUp = {_PROGRAM[version]} -w {rule.format('-I')}"
    for version in forwarding.versions:
        for rule in _rules(forwarding, version):
            yield f"PostDown = {_PROGRAM[version]} -w {rule.format('-D')}"


def _rules(forwarding: Forwarding, version: int) -> Iterator[str]:
    """Yield the rules, with a place for the operation."""
    behind = _listed([one for one in forwarding.behind if one.version == version])
    sources = _listed([one for one in forwarding.sources if one.version == version])
    yield f"{{}} FORWARD -i %i -d {behind} -j ACCEPT"
    yield f"{{}} FORWARD -o %i -s {behind} -j ACCEPT"
    yield f"-t nat {{}} POSTROUTING -s {sources} -d {behind} -j MASQUERADE"


def _listed(cidrs: Sequence[Cidr], separator: str = ",") -> str:
    return separator.join(map(str, cidrs))
