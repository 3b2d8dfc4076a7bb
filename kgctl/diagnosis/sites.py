"""The site of a machine, judged by its addresses, and locations that differ only in spelling.

Only clear evidence counts.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import Cidr
from kgctl.mesh.dialability import is_dialable_from_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.node import Node


_SMALL = IPv4Network("192.168.0.0/16")
_BLOCKS = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), _SMALL)
_NEIGHBOURS = {4: 24, 6: 48}  # prefix lengths of one site's public addresses
_PLACE = {4: 16, 6: 48}  # and of its private ones, except 192.168.0.0/16
_HOME = 24


def networks_of(nodes: Iterable[Node]) -> set[Cidr]:
    """Return the private networks of nodes, except single addresses, which are no evidence."""
    found = (node.internal_ip for node in nodes)
    return {cidr.masked() for cidr in found if cidr is not None and cidr.host_bits}


def public_host(node: Node, seen: Endpoint | None = None) -> Address | str | None:
    """Return the public address or name of a node's endpoint, else of ``seen``, or None."""
    for endpoint in (node.endpoint, seen):
        if endpoint is not None and is_dialable_from_elsewhere(endpoint):
            return endpoint.host
    return None


def site_of(node: Node) -> str:
    """Return the addresses that show a person where a node is."""
    host = public_host(node)
    return f"{node.internal_ip}" if host is None else f"{node.internal_ip}, {host}"


def near(facts: Facts, node: Node, others: Iterable[Node]) -> bool:
    """Return whether nodes that share a private network are at one site by their public addresses.

    Many homes have 192.168.1.0/24. Nodes are at one site if two public addresses are neighbours,
    or if none of them has one.
    """

    def place(one: Node) -> Cidr | str | None:
        seen = None if one.key is None else facts.discovered.get(one.key)
        return _neighbourhood(public_host(one, seen))

    own, theirs = place(node), {place(one) for one in others}
    return own in theirs if own is not None else theirs == {None}


def _neighbourhood(host: Address | str | None) -> Cidr | str | None:
    if host is None or isinstance(host, str):
        return host
    assert isinstance(host, IPv4Address) or hasattr(host, "version")
    return Cidr(host, _NEIGHBOURS[host.version]).masked()


class Site(NamedTuple):
    """The private network of a machine, and its public address or name."""

    internal_ip: Cidr
    host: Address | str | None

    @classmethod
    def of(cls, node: Node) -> Site | None:
        """Return the site of a node, or None if it has no private network."""
        if node.internal_ip is None or not node.internal_ip.host_bits:
            return None
        return cls(node.internal_ip, public_host(node))

    def is_apart(self, other: Site | None) -> bool:
        """Return whether two machines are certainly at different sites.

        Either both have public addresses that differ, and private networks of two sites; or their
        private networks are of different kinds (RFC 1918), and one has a public address. Machines
        at one site may have different public addresses, or several subnets.
        """
        if other is None or self.internal_ip.intersects(other.internal_ip):
            return False
        hosts = {self.host, other.host}
        if hosts == {None} or len(hosts) == 1:
            return False
        if _block(self.internal_ip) != _block(other.internal_ip):
            return True
        return None not in hosts and _place(self.internal_ip) != _place(other.internal_ip)


def _block(cidr: Cidr) -> object:
    address = cidr.address
    if isinstance(address, IPv4Address):
        return next((block for block in _BLOCKS if address in block), None)
    return cidr.version


def _place(cidr: Cidr) -> Cidr:
    small = cidr.version == 4 and cidr.address in _SMALL
    length = _HOME if small else _PLACE[cidr.version]
    return Cidr(cidr.address, min(length, cidr.prefix)).masked()


_LONGEST = 64  # characters of a name that are compared
_SHORTEST = 4  # letters of a name in which an additional letter counts as a slip
_ALIKE = str.maketrans(
    "авеікмнорсетухіјѕԁԛԝαεικνορτυχ",
    "abeikmhopcetyxijsdqwaeiknoptux",
)
"""Cyrillic and Greek letters that look like Latin ones."""

_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])[\W_]+(?=[0-9])")
_SEPARATORS = re.compile(r"[^\w-]|_|-(?![0-9])|(?<![0-9])-")


def skeleton(name: str) -> str:
    """Return a name without capitals, blanks, separators and accents, with Latin lookalikes.

    A separator between two digits stays: ``rack-1-11`` and ``rack-11-1`` differ.
    """
    # twice: decomposition can produce new capitals (as in Unicode's NFKC_Casefold)
    text = _folded(_folded(name[:_LONGEST]))
    text = "".join(one for one in text if unicodedata.category(one) not in ("Mn", "Cf"))
    return _SEPARATORS.sub("", _BETWEEN_DIGITS.sub("-", text.translate(_ALIKE)))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKD", text.casefold())


def slips(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of names that differ by an additional letter, or by two swapped letters.

    Names that differ in digits, or in one letter for another (``zone-a`` and ``zone-b``), are not
    slips. The work depends on the length of the names, not on the number of pairs.
    """
    plain: dict[str, str] = {}
    for name in sorted(names):
        plain.setdefault(skeleton(name), name)
    shorter: dict[str, list[str]] = {}
    for text in plain:
        for place in range(len(text)):
            if text[place].isalpha():
                shorter.setdefault(text[:place] + text[place + 1 :], []).append(text)
    for text, name in plain.items():
        if len(text) < _SHORTEST:
            continue
        for longer in shorter.get(text, ()):
            yield name, plain[longer]
            break
        for swapped in _swapped(text):
            if swapped in plain and text < swapped:
                yield name, plain[swapped]
                break


def _swapped(text: str) -> Iterator[str]:
    for place in range(len(text) - 1):
        one, other = text[place], text[place + 1]
        if one != other and one.isalpha() and other.isalpha():
            yield text[:place] + other + one + text[place + 2 :]
