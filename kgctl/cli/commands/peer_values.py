"""Parsing of the values of ``kgctl peer``'s options, new keys and their files, and output.

Key files are written before the cluster gets the keys. Output on stdout is like kubectl's.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.core.arguments import UsageError, cidrs, within
from kgctl.cli.core.output import answer, answer_with_secret, note
from kgctl.kilo import GROUP
from kgctl.mesh.cidr import single
from kgctl.mesh.endpoint import is_dns_name, parse_endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.peer import KEEPALIVES
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.edit.enrolment import Addresses
    from kgctl.kube.stored import Object
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PresharedKey, SecretKey


def check_name(name: str) -> None:
    """Make sure that Kubernetes accepts the name.

    Raises:
        UsageError: it is not an RFC 1123 subdomain.
    """
    if not is_dns_name(name):
        raise UsageError(
            f'"{printable(name)}" is not a valid object name: lower case letters, digits, - and '
            "., at most 253 (RFC 1123)"
        )


def public_key_of(text: str) -> PublicKey:
    """Parse ``--public-key``."""
    key = PublicKey.parse(text)
    if key is None:
        raise UsageError("--public-key is not a WireGuard key: base64 of 32 bytes, not all zero")
    return key


def endpoint_of(text: str | None) -> Endpoint | None:
    """Parse ``--endpoint``."""
    endpoint = None if text is None else parse_endpoint(text)
    if text is not None and endpoint is None:
        raise UsageError(
            f'--endpoint "{printable(text)}" is not HOST:PORT or [IPv6]:PORT; a host is an IP '
            "address or a DNS name in lower case"
        )
    return endpoint


def keepalive_of(seconds: int | None) -> int | None:
    """Check ``--persistent-keepalive``."""
    if seconds is None:
        return None
    return within("--persistent-keepalive", seconds, KEEPALIVES)


def note_host_bits(allowed_ips: Sequence[str] | None) -> None:
    """Print on stderr which ``--allowed-ips`` have host bits, so hold more than that address."""
    for cidr in dict.fromkeys(cidrs("--allowed-ips", allowed_ips)):
        if cidr != cidr.masked():
            note(
                f"{cidr} means the network {cidr.masked()}, so the peer gets that; for the address "
                f"alone give {single(cidr.address)}"
            )


def check_keepalive(endpoint: Endpoint | None, seconds: int, *, nodes: bool = True) -> None:
    """Make sure that a peer without an endpoint has a keepalive.

    Otherwise the agent of each leader that it dials rewrites its whole WireGuard device every 30 s
    (KG411), if the network has ``nodes``.

    Raises:
        UsageError: the peer has neither.
    """
    if endpoint is None and seconds == 0 and not nodes:
        raise UsageError(
            "a machine without an endpoint needs a keepalive: without one, nobody reaches it "
            "before it sends something itself; give --persistent-keepalive 25, or --endpoint"
        )
    if endpoint is None and seconds == 0:
        raise UsageError(
            "a peer without an endpoint needs a keepalive: without one, Kilo's agents break all "
            "links of each leader that it dials, every 30 s (kgctl explain KG411); give "
            "--persistent-keepalive 25, or --endpoint"
        )


def networks_behind(values: Sequence[str] | None) -> tuple[Cidr, ...]:
    """Parse ``--lan``.

    Raises:
        UsageError: a value is not a network, but one address.
    """
    found = tuple(dict.fromkeys(cidr.masked() for cidr in cidrs("--lan", values)))
    for cidr in found:
        if cidr.host_bits == 0:
            raise UsageError(
                f"--lan {cidr} is one address, which would be the machine's own; give the network "
                "behind it, such as 192.168.1.0/24"
            )
    return found


def addresses_of(
    allowed_ips: Sequence[str] | None,
    pools: Sequence[str] | None,
    service_cidrs: Sequence[str] | None,
    force: bool,
    lan: Sequence[str] | None = None,
) -> Addresses:
    """Parse ``--allowed-ips``, ``--pool``, ``--service-cidr`` and ``--lan``.

    Host bits of allowed IPs are cleared, as WireGuard does: with them, Kilo's agents would reset
    their WireGuard devices again and again (KG404).
    """
    from kgctl.edit.enrolment import Addresses

    given = dict.fromkeys(cidr.masked() for cidr in cidrs("--allowed-ips", allowed_ips))
    if given and pools:
        raise UsageError("--pool allocates an address; --allowed-ips names it: give one of them")
    if allowed_ips is not None and not given:
        raise UsageError("--allowed-ips is empty: the peer would not be part of the network")
    return Addresses(
        given=tuple(given),
        pools=tuple(pool.masked() for pool in cidrs("--pool", pools)),
        service_cidrs=tuple(cidrs("--service-cidr", service_cidrs)),
        forced=force,
        behind=networks_behind(lan),
    )


class _Made(NamedTuple):
    what: str
    path: Path
    key: SecretKey


class NewKeys:
    """New keys of a peer, and their files."""

    def __init__(self) -> None:
        self._made: list[_Made] = []
        self.directory: Path | None = None
        """A directory that is made for them, for this user alone."""
        self.private_key_file: Path | None = None
        """The file of the private key, if one is made."""

    def __bool__(self) -> bool:
        return bool(self._made)

    def key_pair(self, path: Path) -> PublicKey:
        """Make a key pair, with ``path`` as the file of the private key; return the public key."""
        from kgctl.wireguard.keys import PrivateKey

        key = PrivateKey.generate()
        self._made.append(_Made("private key", path, key))
        self.private_key_file = path
        return key.public_key()

    def preshared_key(self, path: Path | None) -> PresharedKey:
        """Make and return a preshared key; ``path`` is its file, if any."""
        from kgctl.wireguard.keys import generate_preshared_key

        key = generate_preshared_key()
        if path is not None:
            self._made.append(_Made("preshared key", path, key))
        return key

    @contextmanager
    def in_files(self) -> Iterator[None]:
        """Write the keys to new files, and remove the files if the body fails.

        They stay if the cluster may have the keys nevertheless; a note on stderr reports that.

        Raises:
            KeyFileError: a file exists, or cannot be written.
        """
        from kgctl.edit.peer_writes import UnfinishedError
        from kgctl.files.atomic import make_own_directory, remove_own
        from kgctl.wireguard.keys import write_key

        written: list[Path] = []
        if self._made and self.directory is not None:
            make_own_directory(self.directory)
        try:
            for one in self._made:
                write_key(one.path, one.key)
                written.append(one.path)
            yield
        except UnfinishedError:
            if written:
                paths = ", ".join(printable(str(path)) for path in written)
                note(f"kept, because the cluster may have its key: {paths}")
            raise
        except BaseException:
            for path in written:
                with suppress(OSError):  # the first error counts
                    remove_own(path)
            raise

    def tell(self) -> None:
        """Print the files of the keys on stderr."""
        for one in self._made:
            note(f"its {one.what} is in {printable(str(one.path))}")


def given_preshared_key(file: Path | None, make: bool) -> PresharedKey | None:
    """Return the preshared key in ``--preshared-key-file``, unless that is for a new one."""
    from kgctl.wireguard.keys import read_preshared_key

    return None if file is None or make else read_preshared_key(file)


def refuse_both(public_key: str | None, file: Path | None) -> None:
    """Refuse a file for a private key if the public key is given, so that none is made."""
    if public_key is not None and file is not None:
        raise UsageError("--private-key-file is for a new key; --public-key names an existing one")


def refuse_preshared(asked: bool) -> None:
    """Refuse a preshared key of a peer in a network without nodes.

    Raises:
        UsageError: one is ``asked`` for.
    """
    if asked:
        raise UsageError(
            "a preshared key is for a peer and the nodes of a cluster, and this network has none"
        )


KIND = f"peer.{GROUP}"
KEPT = (
    "agents that knew it keep it in the network until they restart: "
    "kubectl -n kube-system rollout restart daemonset kilo"
)
"""The effect of an invalid Peer that kgctl cannot make agents remove."""
DRY_RUNS = {"none": "", "client": " (dry run)", "server": " (server dry run)"}
"""The words that kubectl appends to its message in a dry run."""


def show(peer: Object, output: str | None, done: str, kind: str = KIND) -> None:
    """Print a created or changed Peer as kubectl does."""
    from kgctl.edit.peer_writes import spec_of
    from kgctl.kube.codec.structured import to_json, to_yaml

    name = printable(peer["metadata"]["name"])
    if output == "name":
        answer(f"{kind}/{name}\n")
    elif output:
        hidden = ("managedFields",) if kind == KIND else ("resourceVersion",)
        metadata = {key: value for key, value in peer["metadata"].items() if key not in hidden}
        text = (to_json if output == "json" else to_yaml)({**peer, "metadata": metadata})
        answer_with_secret(text, holds_one=bool(spec_of(peer).get("presharedKey")))
    else:
        answer(f"{kind}/{name} {done}\n")
