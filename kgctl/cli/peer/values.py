"""What is given on the command line of ``kgctl peer``, parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.arguments import UsageError, cidrs
from kgctl.cli.core.output import note
from kgctl.mesh.cidr import single
from kgctl.mesh.endpoint import is_dns_name, parse_endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.edit.enrolment import Addresses
    from kgctl.mesh.endpoint import Endpoint

_KEEPALIVES = range(65536)


def check_name(name: str) -> None:
    """Make sure that Kubernetes takes the name.

    Raises:
        UsageError: it does not.
    """
    if not is_dns_name(name):
        raise UsageError(
            f'"{printable(name)}" is no name for an object: lower case letters, digits, - and ., '
            "at most 253 (RFC 1123)"
        )


def public_key_of(text: str) -> PublicKey:
    """Parse ``--public-key``."""
    key = PublicKey.parse(text)
    if key is None:
        raise UsageError("--public-key is no WireGuard key: base64 of 32 bytes, not all zero")
    return key


def endpoint_of(text: str | None) -> Endpoint | None:
    """Parse ``--endpoint``."""
    endpoint = None if text is None else parse_endpoint(text)
    if text is not None and endpoint is None:
        raise UsageError(
            f'--endpoint "{printable(text)}" is no HOST:PORT, nor [IPv6]:PORT; a host is an IP '
            "address or a DNS name in lower case"
        )
    return endpoint


def keepalive_of(seconds: int | None) -> int | None:
    """Check ``--persistent-keepalive``."""
    if seconds is not None and seconds not in _KEEPALIVES:
        raise UsageError(f"--persistent-keepalive {seconds} is not from 0 to 65535 seconds")
    return seconds


def note_host_bits(allowed_ips: Sequence[str] | None) -> None:
    """Print on stderr which of ``--allowed-ips`` stand for more than the address that they name."""
    for cidr in dict.fromkeys(cidrs("--allowed-ips", allowed_ips)):
        if cidr != cidr.masked():
            note(
                f"{cidr} stands for {cidr.masked()}, which is what the peer gets; for the address "
                f"alone give {single(cidr.address)}"
            )


def check_keepalive(endpoint: Endpoint | None, seconds: int) -> None:
    """Make sure that a peer without an endpoint has a keepalive.

    Else each leader's agent that it calls rewrites its whole WireGuard device every 30 s (KG411).

    Raises:
        UsageError: it has neither.
    """
    if endpoint is None and seconds == 0:
        raise UsageError(
            "a peer without an endpoint needs a keepalive: without one, Kilo's agents break all "
            "links of each leader that it calls, every 30 s (kgctl explain KG411); give "
            "--persistent-keepalive 25, or --endpoint"
        )


def addresses_of(
    allowed_ips: Sequence[str] | None,
    pools: Sequence[str] | None,
    service_cidrs: Sequence[str] | None,
    force: bool,
) -> Addresses:
    """Parse ``--allowed-ips``, ``--pool`` and ``--service-cidr``.

    Allowed IPs lose their host bits, as in WireGuard: with them Kilo's agents would find their
    WireGuard devices wrong for ever (KG404).
    """
    from kgctl.edit.enrolment import Addresses

    given = dict.fromkeys(cidr.masked() for cidr in cidrs("--allowed-ips", allowed_ips))
    if given and pools:
        raise UsageError("--pool allocates an address; --allowed-ips names it: give one of them")
    if allowed_ips is not None and not given:
        raise UsageError("--allowed-ips is empty: the peer would take no part in the network")
    return Addresses(
        given=tuple(given),
        pools=tuple(pool.masked() for pool in cidrs("--pool", pools)),
        service_cidrs=tuple(cidrs("--service-cidr", service_cidrs)),
        forced=force,
    )
