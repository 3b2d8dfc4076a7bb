"""What ``kgctl peer`` prints: on stdout what kubectl would.

What is given on the command line of ``kgctl peer``, parsed.

New keys, and the files that they are kept in: there before the cluster hears of them.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.core.arguments import UsageError, cidrs
from kgctl.cli.core.output import answer, answer_with_secret, note
from kgctl.kilo import GROUP
from kgctl.mesh.cidr import single
from kgctl.mesh.endpoint import is_dns_name, parse_endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.edit.enrolment import Addresses
    from kgctl.kube.stored import Object
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PresharedKey, SecretKey


_KEEPALIVES = range(65536)


def check_name(name: str) -> None:
    """Make sure that Kubernetes takes the name.

    Raises:
        UsageError: it does not.
    """
    if not is_dns_name(name):
        raise UsageError(
            f'"{printable(name)}" is not a name for an object: lower case letters, digits, - and '
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


class _Made(NamedTuple):
    what: str
    path: Path
    key: SecretKey


class NewKeys:
    """The keys that are made for a peer, and the file of each."""

    def __init__(self) -> None:
        self._made: list[_Made] = []
        self.private_key_file: Path | None = None
        """Where the private key goes, if one is made."""

    def __bool__(self) -> bool:
        return bool(self._made)

    def key_pair(self, path: Path) -> PublicKey:
        """Make a key pair, the private key to go into ``path``; return the public key."""
        from kgctl.wireguard.keys import PrivateKey

        key = PrivateKey.generate()
        self._made.append(_Made("private key", path, key))
        self.private_key_file = path
        return key.public_key()

    def preshared_key(self, path: Path | None) -> PresharedKey:
        """Make a preshared key, to go into ``path`` too if there is one; return it."""
        from kgctl.wireguard.keys import generate_preshared_key

        key = generate_preshared_key()
        if path is not None:
            self._made.append(_Made("preshared key", path, key))
        return key

    @contextmanager
    def in_files(self) -> Iterator[None]:
        """Write the keys into new files, and remove these again if what is done then fails.

        They stay where the cluster may know the keys nevertheless: that is said on stderr.

        Raises:
            KeyFileError: a file exists, or cannot be written.
        """
        from kgctl.edit.peer_writes import UnfinishedError
        from kgctl.files.writing import remove_own
        from kgctl.wireguard.keys import write_key

        written: list[Path] = []
        try:
            for one in self._made:
                write_key(one.path, one.key)
                written.append(one.path)
            yield
        except UnfinishedError:
            if written:
                paths = ", ".join(printable(str(path)) for path in written)
                note(f"kept, since the cluster may know what is in it: {paths}")
            raise
        except BaseException:
            for path in written:
                with suppress(OSError):  # what went wrong before counts
                    remove_own(path)
            raise

    def tell(self) -> None:
        """Say on stderr where the keys are."""
        for one in self._made:
            note(f"its {one.what} is in {printable(str(one.path))}")


def given_preshared_key(file: Path | None, make: bool) -> PresharedKey | None:
    """Return the preshared key of ``--preshared-key-file``, unless that is for a new one."""
    from kgctl.wireguard.keys import read_preshared_key

    return None if file is None or make else read_preshared_key(file)


def unused(name: str, suffix: str) -> Path:
    """Return ``NAME.key``, or ``NAME-2.key`` and so on: the first that is not there."""
    path, number = Path(f"{name}{suffix}"), 1
    while path.is_symlink() or path.exists():
        number += 1
        path = Path(f"{name}-{number}{suffix}")
    return path


def refuse_both(public_key: str | None, file: Path | None) -> None:
    """Make sure that no file is named for a key that is not made."""
    if public_key is not None and file is not None:
        raise UsageError("--private-key-file is for a key that is made; --public-key names one")


KIND = f"peer.{GROUP}"
KEPT = (
    "agents that knew it keep it in the network until they restart: "
    "kubectl -n kube-system rollout restart daemonset kilo"
)
"""What agents do with an invalid Peer that they can not be made to forget."""
DRY_RUNS = {"none": "", "client": " (dry run)", "server": " (server dry run)"}
"""What kubectl says behind what was not really done."""


def show(peer: Object, output: str | None, done: str) -> None:
    """Print a Peer that was created or changed, as kubectl would."""
    from kgctl.edit.peer_writes import spec_of
    from kgctl.kube.codec.structured import to_json, to_yaml

    name = printable(peer["metadata"]["name"])
    if output == "name":
        answer(f"{KIND}/{name}\n")
    elif output:
        metadata = {key: value for key, value in peer["metadata"].items() if key != "managedFields"}
        text = (to_json if output == "json" else to_yaml)({**peer, "metadata": metadata})
        answer_with_secret(text, holds_one=bool(spec_of(peer).get("presharedKey")))
    else:
        answer(f"{KIND}/{name} {done}\n")
