"""The addresses that a node announces: which of a machine's own they are, by Kilo's rules.

Source: the addresses that Kilo 0.7's agent chose. Unlike that agent, ours chooses again whenever
the machine's addresses change, and never takes an address of the encapsulation's interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import HostError
from kgctl.mesh.endpoint import counts_as_public

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from kgctl.mesh.cidr import Address, Cidr


class LinkAddress(NamedTuple):
    """An address of this machine, with its prefix, and the name of the link that it is on."""

    link: str
    cidr: Cidr


class Machine(NamedTuple):
    """What decides the choice: addresses in the order of their links.

    ``named`` are the addresses that the hostname resolves to; ``default_link`` is the link of the
    default route, or None.
    """

    addresses: tuple[LinkAddress, ...] = ()
    default_link: str | None = None
    named: frozenset[Address] = frozenset()


class Chosen(NamedTuple):
    """The chosen addresses: ``public`` for the endpoint, ``private`` for the internal IP.

    ``link`` is that of the private address. Without a private address, both are None.
    """

    public: Address
    private: Cidr | None = None
    link: str | None = None


def choose(machine: Machine, *, left_out: Collection[str], internal: Sequence[Cidr] = ()) -> Chosen:
    """Choose the addresses of a node from those of its machine.

    Addresses on the links ``left_out`` do not count, wherever they stand. The private one is in
    one of the networks ``internal``, if there are any.

    Raises:
        HostError: the machine has no usable address.
    """
    ignored = {one.cidr.address for one in machine.addresses if one.link in left_out}
    usable = [one for one in machine.addresses if _is_usable(one.cidr.address, ignored)]
    lists = (
        [one for one in usable if one.cidr.address in machine.named],
        [one for one in usable if one.link == machine.default_link],
        usable,
    )
    private = _first(lists, public=False, within=internal)
    public = _first(lists, public=True) or private
    if public is None:
        raise HostError(
            "this machine has no usable address: only loopback and link-local ones, and those of "
            "the agent's own links"
        )
    if private is None:
        return Chosen(public.cidr.address)
    address = private.cidr.address
    link = next(one.link for one in machine.addresses if one.cidr.address == address)
    return Chosen(public.cidr.address, private.cidr, link)


def _is_usable(address: Address, ignored: Collection[Address]) -> bool:
    local = address.is_loopback or address.is_link_local or address.is_multicast
    return not local and address not in ignored


def _first(
    lists: Iterable[Sequence[LinkAddress]], *, public: bool, within: Sequence[Cidr] = ()
) -> LinkAddress | None:
    for one in lists:
        found = [
            each
            for each in one
            if counts_as_public(each.cidr.address) is public
            and (not within or any(network.contains(each.cidr.address) for network in within))
        ]
        if found:
            return min(found, key=lambda each: (each.cidr.version, str(each.cidr)))
    return None
