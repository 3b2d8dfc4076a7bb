"""Work of ``kgctl peer add``: create a Peer and its keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.commands.agents import warn_of_address, warn_of_name
from kgctl.cli.commands.peer_settings import NOTHING, note_expiry
from kgctl.cli.commands.peer_values import (
    DRY_RUNS,
    NewKeys,
    addresses_of,
    check_keepalive,
    check_name,
    endpoint_of,
    given_preshared_key,
    keepalive_of,
    note_host_bits,
    public_key_of,
    refuse_both,
    refuse_preshared,
    show,
)
from kgctl.cli.core.limits import warn_of_claims
from kgctl.cli.core.output import note
from kgctl.edit.peer_writes import with_settings
from kgctl.errors import AlreadyExistsError, KgctlError
from kgctl.files.atomic import unused
from kgctl.mesh.peer import NAT_KEEPALIVE
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.cli.commands.peer_target import Target
    from kgctl.edit.enrolment import Addresses
    from kgctl.kube.stored import Object
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PresharedKey, PublicKey
    from kgctl.mesh.network import Network
    from kgctl.mesh.state import State
    from kgctl.state.interface import PeerStore

_NOBODYS_KEYS = (
    "a dry run keeps no keys: do not apply the keys shown, nobody has them; give keys that you "
    "have with --public-key and --preshared-key-file"
)


class PeerExistsError(KgctlError):
    """A peer with this name already exists."""


class NewPeer(NamedTuple):
    """The options of a new peer, unparsed."""

    name: str
    allowed_ips: list[str] | None = None
    pools: list[str] | None = None
    public_key: str | None = None
    private_key_file: Path | None = None
    preshared_key_file: Path | None = None
    new_preshared_key: bool = False
    endpoint: str | None = None
    persistent_keepalive: int | None = None
    service_cidrs: list[str] | None = None
    force: bool = False
    lan: list[str] | None = None
    settings: Mapping[str, str | None] = NOTHING

    def plan(self, network: Network | None = None) -> Plan:
        """Check the options as far as possible without a cluster, and return the plan.

        ``network`` is the one without nodes that the peer joins, if it joins none of a cluster.

        Raises:
            UsageError: a value is invalid, or conflicts with another one.
            KeyFileError: the file of the preshared key cannot be read, or holds no key.
        """
        check_name(self.name)
        refuse_both(self.public_key, self.private_key_file)
        endpoint = endpoint_of(self.endpoint)
        keepalive = keepalive_of(self.persistent_keepalive)
        if keepalive is not None:
            check_keepalive(endpoint, keepalive, nodes=network is None)
        if network is not None:
            refuse_preshared(self.new_preshared_key or self.preshared_key_file is not None)
        return Plan(
            name=self.name,
            addresses=addresses_of(
                self.allowed_ips, self.pools, self.service_cidrs, self.force, self.lan
            ),
            public_key=None if self.public_key is None else public_key_of(self.public_key),
            preshared_key=given_preshared_key(self.preshared_key_file, self.new_preshared_key),
            endpoint=endpoint,
            keepalive=_default_keepalive(endpoint, network) if keepalive is None else keepalive,
            chosen=keepalive is None,
            settings=self.settings,
        )


class Plan(NamedTuple):
    """A Peer to create; ``public_key`` is None until its key pair is made.

    ``keepalive`` is in seconds; ``chosen`` is set if kgctl chose it.
    """

    name: str
    addresses: Addresses
    public_key: PublicKey | None
    preshared_key: PresharedKey | None
    endpoint: Endpoint | None
    keepalive: int
    chosen: bool
    settings: Mapping[str, str | None] = NOTHING

    def manifest(self, allowed_ips: Sequence[Cidr]) -> Object:
        """Return the Peer object."""
        from kgctl.render.manifest import peer_object
        from kgctl.wireguard.conf import PeerSection

        assert self.public_key is not None
        section = PeerSection(
            self.public_key, tuple(allowed_ips), self.endpoint, self.keepalive, self.preshared_key
        )
        return with_settings(peer_object(self.name, section), self.settings)

    def checked(self, state: State) -> State:
        """Return ``state`` if the public key is not in use in it.

        Raises:
            InUseError: a node or another peer has the key.
        """
        from kgctl.edit.enrolment import check_key

        if self.public_key is not None and not self.addresses.forced:
            check_key(state, self.public_key, self.name)
        return state


def add_peer(target: Target, new: NewPeer, dry_run: str, output: str | None) -> None:
    """Create a peer, and keys that are not given; report the choices and the next command."""
    folder = target.folder
    plan, keys = new.plan(None if folder is None else folder.network()), NewKeys()
    keys.directory = None if folder is None or new.private_key_file else folder.keys
    note_host_bits(new.allowed_ips)
    warn_of_claims(new.name, new.allowed_ips)
    warn_of_address(plan.endpoint)
    warn_of_name(plan.endpoint, target.look_up)
    if plan.public_key is None:
        path = new.private_key_file or target.key_file(new.name)
        path = path if new.private_key_file or folder is None else unused(path)
        plan = plan._replace(public_key=keys.key_pair(path))
    if new.new_preshared_key:
        path = new.preshared_key_file or Path(f"{new.name}.psk")
        plan = plan._replace(preshared_key=keys.preshared_key(path))
    if dry_run != "none":
        _rehearse(target, plan, dry_run, output)
        if keys:
            note(_NOBODYS_KEYS)
        return
    store = target.store()
    with keys.in_files():
        stored = _create(target, store, plan)
    show(stored, output, "created", target.kind)
    _tell(plan, stored, in_cluster=folder is None)
    keys.tell()
    tell_next(target, plan.name, keys.private_key_file)


def tell_next(target: Target, name: str, private_key_file: Path | None) -> None:
    """Print on stderr the command that writes the machine's configuration."""
    wanted = ["showconf", "peer", name, "-o", "wg-quick"]
    if private_key_file is not None and target.folder is None:
        wanted += ["--private-key", str(private_key_file)]
    note(f"next: {printable(target.command(*wanted), 1000)}")


def _create(target: Target, store: PeerStore, plan: Plan) -> Object:
    from kgctl.edit.enrolment import Enrolment

    enrolment = Enrolment(
        plan.name,
        plan.manifest,
        plan.addresses,
        store=store,
        read=target.state,
        sleep=target.sleep,
    )
    try:
        return enrolment.run(plan.checked(target.state()))
    except AlreadyExistsError:
        raise PeerExistsError(
            f'the peer "{plan.name}" already exists; change it with kgctl peer set, give it new '
            "keys with kgctl peer rotate, or delete it with kgctl peer rm"
        ) from None


def _rehearse(target: Target, plan: Plan, dry_run: str, output: str | None) -> None:
    """Print the Peer as kgctl or the API server would create it."""
    peer = plan.manifest(plan.addresses.propose(plan.checked(target.state()), plan.name))
    if dry_run == "server":
        peer = target.store().create(peer, dry_run=True)
    show(peer, output, f"created{DRY_RUNS[dry_run]}", target.kind)
    _tell(plan, peer, in_cluster=target.folder is None)


def _tell(plan: Plan, peer: Object, *, in_cluster: bool) -> None:
    """Print the addresses and the keepalive on stderr."""
    keepalive = f"a keepalive of {plan.keepalive} s" if plan.keepalive else "no keepalive"
    if plan.chosen and plan.keepalive:
        keepalive += ", since it has no endpoint and may be behind NAT"
    elif plan.chosen:
        others = "the nodes" if in_cluster else "others"
        keepalive += f", since {others} can dial its endpoint"
    note(f"{plan.name} has {', '.join(peer['spec']['allowedIPs'])} and {keepalive}")
    note_expiry(plan.settings, in_cluster=in_cluster)


def _default_keepalive(endpoint: Endpoint | None, network: Network | None) -> int:
    """Return the keepalive, in seconds, that a peer needs to keep its NAT mapping."""
    if endpoint is not None:
        return 0
    return NAT_KEEPALIVE if network is None else network.persistent_keepalive
