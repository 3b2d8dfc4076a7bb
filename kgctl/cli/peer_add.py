"""``kgctl peer add`` and ``kgctl peer import``: a new Peer, and the key that goes with it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.cli.arguments import UsageError, cidrs
from kgctl.cli.output import answer, note
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.endpoint import Endpoint, is_dns_name, parse_endpoint
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.cli.shared import Shared
    from kgctl.cluster.enrolment import Enrolment
    from kgctl.mesh.state import State

KIND = "peer.kilo.squat.ai"
NAT_KEEPALIVE = 25  # seconds; wireguard.com/quickstart, "NAT and Firewall Traversal Persistence"
_KEEPALIVES = range(65536)


class NewPeer(NamedTuple):
    """What was given of a new peer."""

    name: str
    allowed_ips: list[str] | None = None
    pool: str | None = None
    public_key: str | None = None
    private_key_file: Path | None = None
    preshared_key_file: Path | None = None
    generate_preshared_key: bool = False
    endpoint: str | None = None
    persistent_keepalive: int | None = None
    service_cidr: list[str] | None = None
    force: bool = False

    def enrolment(self, public_key: PublicKey, preshared_key: PresharedKey | None) -> Enrolment:
        """Return how the Peer is to be created, everything checked.

        Raises:
            UsageError: a value is wrong.
        """
        from kgctl.cluster.enrolment import Enrolment

        endpoint = endpoint_of(self.endpoint)
        keepalive = keepalive_of(self.persistent_keepalive)
        if keepalive is None:
            keepalive = 0 if endpoint else NAT_KEEPALIVE

        def manifest(allowed_ips: Sequence[Cidr]) -> dict[str, Any]:
            from kgctl.render.manifest import peer_object
            from kgctl.wireguard.conf import PeerSection

            section = PeerSection(
                public_key, tuple(allowed_ips), endpoint, keepalive, preshared_key
            )
            return peer_object(self.name, section)

        return Enrolment(
            name=self.name,
            manifest=manifest,
            allowed_ips=tuple(cidrs("--allowed-ips", self.allowed_ips)),
            pool=_pool(self.pool),
            service_cidrs=tuple(cidrs("--service-cidr", self.service_cidr)),
            forced=self.force,
        )


def add_peer(shared: Shared, new: NewPeer, dry_run: str, output: str | None) -> None:
    """Create a peer, its key pair first where none is given; say what was chosen."""
    _check(new, dry_run)
    preshared_key = preshared_key_of(new.preshared_key_file, new.generate_preshared_key)
    if new.public_key is not None:
        enrolment = new.enrolment(public_key_of(new.public_key), preshared_key)
        _create(shared, enrolment, dry_run, output)
        return
    path = new.private_key_file or Path(f"{new.name}.key")
    with new_key_file(path) as public_key:
        _create(shared, new.enrolment(public_key, preshared_key), dry_run, output)
    note(f"its private key is in {path}; next: kgctl showconf peer {new.name} -o wg-quick "
         f"--private-key {path}")  # fmt: skip


@contextmanager
def new_key_file(path: Path) -> Iterator[PublicKey]:
    """Write a new private key into a new file, and give its public key.

    The file is there before the cluster knows the key, and is removed if that fails.
    """
    from kgctl.wireguard.keys import PrivateKey, write_key

    key = PrivateKey.generate()
    write_key(path, key)
    try:
        yield key.public_key()
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def import_peer(
    shared: Shared, file: Path, name: str | None, endpoint: str | None, keepalive: int | None,
    force: bool, dry_run: str, output: str | None,
) -> None:  # fmt: skip
    """Create a peer from a configuration file that a machine has already."""
    from kgctl.wireguard.parse import parse_configuration

    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    configuration = parse_configuration(text, printable(str(file)))
    interface = configuration.interface
    if interface is None or interface.private_key is None or not interface.addresses:
        raise UsageError(f"{file} has no [Interface] with a PrivateKey and an Address")
    if keepalive is None and configuration.peers:
        keepalive = max(peer.persistent_keepalive for peer in configuration.peers) or None
    new = NewPeer(
        name=file.stem if name is None else name,
        allowed_ips=[str(address) for address in interface.addresses],
        public_key=str(interface.private_key.public_key()),
        endpoint=endpoint,
        persistent_keepalive=keepalive,
        force=force,
    )
    add_peer(shared, new, dry_run, output)


def _create(shared: Shared, enrolment: Enrolment, dry_run: str, output: str | None) -> None:
    from kgctl.cluster.enrolment import enrol

    if dry_run == "client":
        from kgctl.cli.reading import read

        show(enrolment.propose(read(shared).state), output, "created (dry run)")
        return
    cluster = changeable(shared)

    def state() -> State:
        from kgctl.cluster.objects import state_of

        return state_of(cluster.read())

    store = cluster.peers()
    if dry_run == "server":
        stored = store.create(enrolment.propose(state()), dry_run=True)
        show(stored, output, "created (server dry run)")
        return
    stored = enrol(store, state, enrolment)
    show(stored, output, "created")
    spec = stored["spec"]
    note(f"{enrolment.name} has {', '.join(spec['allowedIPs'])} and a keepalive of "
         f"{spec.get('persistentKeepalive', 0)} s")  # fmt: skip


def changeable(shared: Shared) -> Any:
    """Return the live cluster; files and the example cannot be changed.

    Raises:
        UsageError: the options name files, or the example.
    """
    from kgctl.cli.reading import live_cluster

    if shared.filename or shared.example:
        raise UsageError("files and the example cannot be changed; give --dry-run=client -o yaml")
    return live_cluster(shared)


def show(peer: dict[str, Any], output: str | None, done: str) -> None:
    """Print a Peer that was created or changed, as kubectl would."""
    from kgctl.render.structured import to_json, to_yaml

    name = printable(peer["metadata"]["name"])
    if output == "name":
        answer(f"{KIND}/{name}\n")
    elif output:
        answer((to_json if output == "json" else to_yaml)(peer))
    else:
        answer(f"{KIND}/{name} {done}\n")


def _check(new: NewPeer, dry_run: str) -> None:
    if not is_dns_name(new.name):
        raise UsageError(
            f'"{printable(new.name)}" is no name for an object: lower case letters, digits, '
            "- and . (RFC 1123)"
        )
    if new.public_key is not None and new.private_key_file is not None:
        raise UsageError("--private-key-file is for a key that is made; --public-key names one")
    if new.public_key is None and dry_run != "none":
        raise UsageError("a dry run makes no key; give --public-key KEY")
    if new.allowed_ips and new.pool:
        raise UsageError("--pool allocates an address; --allowed-ips names it: give one of them")


def public_key_of(text: str) -> PublicKey:
    """Parse ``--public-key``."""
    key = PublicKey.parse(text)
    if key is None:
        raise UsageError("--public-key is no WireGuard key: base64 of 32 bytes, not all zero")
    return key


def preshared_key_of(file: Path | None, generate: bool) -> PresharedKey | None:
    """Return the preshared key of a file, a new one, or None."""
    from kgctl.wireguard.keys import generate_preshared_key, read_private_key

    if file is not None and generate:
        raise UsageError("--preshared-key-file names a key, --generate-preshared-key makes one")
    if file is not None:
        return PresharedKey(read_private_key(file).raw)
    return generate_preshared_key() if generate else None


def endpoint_of(text: str | None) -> Endpoint | None:
    """Parse ``--endpoint``."""
    endpoint = None if text is None else parse_endpoint(text)
    if text is not None and endpoint is None:
        raise UsageError(f'--endpoint "{printable(text)}" is no HOST:PORT, nor [IPv6]:PORT')
    return endpoint


def keepalive_of(seconds: int | None) -> int | None:
    """Check ``--persistent-keepalive``."""
    if seconds is not None and seconds not in _KEEPALIVES:
        raise UsageError(f"--persistent-keepalive {seconds} is not from 0 to 65535 seconds")
    return seconds


def _pool(text: str | None) -> Cidr | None:
    pool = None if text is None else parse_cidr(text)
    if text is not None and pool is None:
        raise UsageError(f'--pool "{printable(text)}" is no CIDR, as 10.5.0.0/24 is')
    return None if pool is None else pool.masked()
