"""The file ``network.yaml``, which makes a folder a network, and its JSON Schema.

The classes below are the format: files are checked and the schema is made by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from kgctl.mesh.cidr import parse_address, parse_cidr
from kgctl.mesh.endpoint import is_dns_name
from kgctl.mesh.network import Network
from kgctl.mesh.peer import NAT_KEEPALIVE
from kgctl.mesh.text import printable
from kgctl.state.marked_yaml import PlacedError, read_marked_yaml
from kgctl.state.yaml_schema import converted, without_indentation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.state.marked_yaml import MarkedYaml, ValuePath

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_CIDR = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)/[0-9]{1,3}$"
_ADDRESS = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$"
_DOMAIN = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"

FORMS = {
    NAME: "a name of lower-case letters, digits and hyphens, 63 characters at most",
    _CIDR: "a network such as 10.73.5.0/24",
    _ADDRESS: "an IP address such as 10.73.5.1",
    _DOMAIN: "a domain name in lower case such as home.arpa",
}
"""A description of each regular expression, for errors."""

_Seconds = Annotated[int, Meta(ge=1, le=65535)]


class Defaults(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The defaults for all machines; options of kgctl go before them."""

    persistent_keepalive: Annotated[
        _Seconds,
        Meta(
            description="Seconds between the packets by which a machine without an endpoint keeps "
            "its router's way open. Used when a machine is added."
        ),
    ] = NAT_KEEPALIVE
    dns: Annotated[
        tuple[Annotated[str, Meta(pattern=_ADDRESS)], ...],
        Meta(description="The DNS servers in the files of all machines."),
    ] = ()
    search_domains: Annotated[
        tuple[Annotated[str, Meta(pattern=_DOMAIN)], ...],
        Meta(description="The DNS search domains in the files of all machines; they need dns."),
    ] = ()


class NetworkFile(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A WireGuard network of the machines in this folder, without Kubernetes."""

    api_version: Annotated[Literal["kgctl.dev/v1alpha1"], Meta(description="This format.")]
    kind: Literal["Network"]
    name: Annotated[
        str, Meta(pattern=NAME, description="The name of the network, shown in pictures and files.")
    ]
    pools: Annotated[
        tuple[Annotated[str, Meta(pattern=_CIDR)], ...],
        Meta(
            min_length=1,
            max_length=16,
            description="A new machine gets a free address from each of these networks.",
        ),
    ]
    relays: Annotated[
        Literal["marked", "auto"],
        Meta(
            description="The machines that forward packets between two others that cannot call "
            "each other: those with the annotation kgctl.dev/relay, or all that others can call."
        ),
    ] = "marked"
    defaults: Annotated[Defaults, Meta(description="Defaults for all machines.")] = Defaults()


def network_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the format."""
    made = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(NetworkFile)))
    return {"$schema": _DIALECT, "title": "Network", **without_indentation(made)}


def parse_network(label: str, content: bytes) -> Network:
    """Parse the ``content`` of a ``network.yaml`` that errors call ``label``.

    Raises:
        kgctl.state.marked_yaml.PlacedError: it is not YAML, or has an invalid value.
    """
    document = read_marked_yaml(label, content)
    found = converted(document, NetworkFile, network_schema, FORMS)
    return _Checked(document).network(found)


class _Checked:
    """Parses the texts that the schema allows, and some of which have no meaning."""

    def __init__(self, document: MarkedYaml) -> None:
        self._document = document

    def network(self, found: NetworkFile) -> Network:
        pools = [self._pool(("pools", at), text) for at, text in enumerate(found.pools)]
        for at, pool in enumerate(pools):
            for other in pools[:at]:
                wider, narrower = sorted((pool, other), key=lambda one: one.prefix)
                if wider.version == narrower.version and wider.contains(narrower.address):
                    raise self._fault(("pools", at), f"{pool} overlaps the pool {other} above")
        return Network(
            found.name,
            tuple(pools),
            found.defaults.persistent_keepalive,
            tuple(
                self._address(("defaults", "dns", at), text)
                for at, text in enumerate(found.defaults.dns)
            ),
            tuple(
                self._domain(("defaults", "searchDomains", at), text)
                for at, text in enumerate(found.defaults.search_domains)
            ),
            found.relays,
        )

    def _pool(self, path: ValuePath, text: str) -> Cidr:
        pool = parse_cidr(text)
        if pool is None:
            raise self._fault(path, f'"{printable(text, 60)}" is not {FORMS[_CIDR]}')
        if pool != pool.masked():
            raise self._fault(path, f"{pool} is an address; its network is {pool.masked()}")
        if pool.host_bits < 2:
            raise self._fault(path, f"{pool} has too few addresses for two machines")
        return pool

    def _address(self, path: ValuePath, text: str) -> Address:
        found = parse_address(text)
        if found is None:
            raise self._fault(path, f'"{printable(text, 60)}" is not {FORMS[_ADDRESS]}')
        return found

    def _domain(self, path: ValuePath, text: str) -> str:
        if not is_dns_name(text):
            raise self._fault(path, f'"{printable(text, 60)}" is not {FORMS[_DOMAIN]}')
        return text

    def _fault(self, path: ValuePath, text: str) -> PlacedError:
        return PlacedError(f"{self._document.place(path)}: {text}")


def new_network_file(network: Network) -> str:
    """Return the text of a ``network.yaml``, with comments that explain each field."""
    pools = "".join(f"- {pool}\n" for pool in network.pools)
    dns = _listed("dns", "10.0.0.53", network.dns)
    domains = _listed("searchDomains", "home.arpa", network.search_domains)
    return _TEXT.format(
        name=network.name,
        pools=pools,
        keepalive=network.persistent_keepalive,
        dns=dns,
        domains=domains,
        relays=network.relays,
    )


def _listed(key: str, example: str, values: Sequence[object]) -> str:
    if not values:
        return f"  # {key}: [{example}]\n"
    return f"  {key}:\n" + "".join(f"  - {value}\n" for value in values)


_TEXT = """\
# yaml-language-server: $schema=network.schema.json
# A WireGuard network of the machines in this folder: a file NAME.yaml each, private keys in keys/.
# "kgctl peer add NAME" adds a machine, "kgctl showconf peer NAME -o wg-quick" prints its file.
apiVersion: kgctl.dev/v1alpha1
kind: Network
# The name of the network, in pictures and files.
name: {name}
# A new machine gets a free address from each of these networks. They should overlap no network
# that a machine is in: these were chosen at random, which makes that unlikely.
pools:
{pools}\
# The machines that forward between two others that cannot call each other: "marked" are those with
# the annotation kgctl.dev/relay, "auto" are all that others can call.
relays: {relays}
defaults:
  # Seconds between the packets by which a machine without an endpoint keeps its router's way open.
  # It is written into the manifest of a new machine.
  persistentKeepalive: {keepalive}
  # DNS servers for the files of all machines.
{dns}\
  # Domains to search in; they need a DNS server.
{domains}"""
