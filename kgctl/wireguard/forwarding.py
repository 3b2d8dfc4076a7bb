"""Forwarding by a machine, between a tunnel and the networks behind it, or within the tunnel.

A machine answers for its networks: packets from the tunnel leave it with its own address there, so
that hosts behind it need no route back. A relay forwards packets of the tunnel back into it, as
they are. Nothing is undone that others may use: forwarding between interfaces stays on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Cidr


class Forwarding(NamedTuple):
    """The networks ``behind`` a machine, and those of the tunnel that are to reach them.

    ``relayed`` are the IP versions of packets from the tunnel that go back into it.
    """

    behind: tuple[Cidr, ...] = ()
    sources: tuple[Cidr, ...] = ()
    relayed: tuple[int, ...] = ()

    @property
    def routed(self) -> tuple[int, ...]:
        """The IP versions in which the networks behind the machine are reached."""
        reached = {cidr.version for cidr in self.behind}
        return tuple(sorted(reached & {cidr.version for cidr in self.sources}))

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions of which there is something to forward."""
        return tuple(sorted({*self.routed, *self.relayed}))

    @property
    def in_words(self) -> str:
        """What is forwarded, for a comment."""
        relays = "forwards between machines that cannot call each other"
        if not self.routed:
            return relays
        routes = f"between the tunnel and {_listed(self.behind, ', ')} behind this machine"
        start = f"{relays}, and " if self.relayed else "forwards "
        return f"{start}{routes}, with its own address there"


_KERNEL = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
_PROGRAM = {4: "iptables", 6: "ip6tables"}


def hooks(forwarding: Forwarding) -> Iterator[str]:
    """Yield the lines of wg-quick: what it runs after it sets the interface up, and takes it down.

    ``%i`` is the interface. The rules go first, before those of a firewall that drops.
    """
    for version in forwarding.versions:
        yield f"PostUp = sysctl -qw {_parameter(forwarding, version)}=1"
    for version in forwarding.versions:
        for rule in _rules(forwarding, version):
            yield f"PostUp = {_PROGRAM[version]} -w {rule.format('-I')}"
    for version in forwarding.versions:
        for rule in _rules(forwarding, version):
            yield f"PostDown = {_PROGRAM[version]} -w {rule.format('-D')}"


def _parameter(forwarding: Forwarding, version: int) -> str:
    """Return the kernel's parameter that turns forwarding on.

    A relay forwards only what arrives by its tunnel, for which IPv4 has a parameter that goes with
    the interface; slashes stand for dots, which a name of an interface may have (sysctl(8)).
    """
    if version == 4 and version not in forwarding.routed:
        return "net/ipv4/conf/%i/forwarding"
    return _KERNEL[version]


def _rules(forwarding: Forwarding, version: int) -> Iterator[str]:
    """Yield the rules, with a place for the operation."""
    if version in forwarding.relayed:
        yield "{} FORWARD -i %i -o %i -j ACCEPT"
    if version in forwarding.routed:
        behind = _listed([one for one in forwarding.behind if one.version == version])
        sources = _listed([one for one in forwarding.sources if one.version == version])
        yield f"{{}} FORWARD -i %i -d {behind} -j ACCEPT"
        yield f"{{}} FORWARD -o %i -s {behind} -j ACCEPT"
        yield f"-t nat {{}} POSTROUTING -s {sources} -d {behind} -j MASQUERADE"


def _listed(cidrs: Sequence[Cidr], separator: str = ",") -> str:
    return separator.join(map(str, cidrs))
