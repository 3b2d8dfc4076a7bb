"""Work of ``kgctl peer set`` and ``kgctl peer rotate``: change fields of a Peer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.commands.agents import note_hidden_peer, warn_of_address, warn_of_name
from kgctl.cli.commands.peer_add import tell_next
from kgctl.cli.commands.peer_settings import NOTHING, note_expiry
from kgctl.cli.commands.peer_values import (
    DRY_RUNS,
    KEPT,
    NewKeys,
    addresses_of,
    check_keepalive,
    check_name,
    endpoint_of,
    given_preshared_key,
    keepalive_of,
    networks_behind,
    note_host_bits,
    public_key_of,
    refuse_both,
    refuse_preshared,
    show,
)
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.limits import warn_of_claims
from kgctl.cli.core.output import answer, note
from kgctl.edit.peer_writes import annotations_of, mended, spec_of, with_settings
from kgctl.files.atomic import unused
from kgctl.mesh.peer import NAT_KEEPALIVE, InvalidPeer, is_own_address
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.cli.commands.peer_target import Target
    from kgctl.edit.enrolment import Addresses
    from kgctl.edit.peer_writes import Mended
    from kgctl.kube.stored import Object
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PresharedKey, PublicKey
    from kgctl.state.interface import PeerStore


class Changes(NamedTuple):
    """The options that change a peer, unparsed; None for one that was not given."""

    allowed_ips: list[str] | None = None
    public_key: str | None = None
    preshared_key_file: Path | None = None
    new_preshared_key: bool = False
    remove_preshared_key: bool = False
    endpoint: str | None = None
    persistent_keepalive: int | None = None
    service_cidrs: list[str] | None = None
    force: bool = False
    lan: list[str] | None = None
    settings: Mapping[str, str | None] = NOTHING

    def addresses(self) -> Addresses:
        """Return the given addresses, and the networks that they must avoid."""
        return addresses_of(self.allowed_ips, None, self.service_cidrs, self.force, self.lan)

    def key(self) -> PublicKey | None:
        """Return the given public key, if any."""
        return None if self.public_key is None else public_key_of(self.public_key)

    def fields(self, keys: NewKeys, target: Target, name: str) -> Object:
        """Return the members of the spec to change; None for one to remove.

        Without ``--allowed-ips``, the networks of ``--lan`` are left to the edit, which knows the
        peer's own addresses.

        Raises:
            UsageError: a value is invalid, or nothing was given.
        """
        from kgctl.render.manifest import endpoint_object

        changed: Object = {}
        if self.allowed_ips is not None:
            changed["allowedIPs"] = [str(cidr) for cidr in self.addresses().fixed]
        if self.public_key is not None:
            changed["publicKey"] = str(self.key())
        if self.endpoint is not None:
            endpoint = endpoint_of(self.endpoint or None)
            changed["endpoint"] = None if endpoint is None else endpoint_object(endpoint)
        if self.persistent_keepalive is not None:
            changed["persistentKeepalive"] = keepalive_of(self.persistent_keepalive)
        key = self._preshared_key(keys, target, name)
        if key is not None or self.remove_preshared_key:
            changed["presharedKey"] = None if key is None else key.reveal()
        if not changed and self.lan is None and not self.settings:
            raise UsageError("nothing to change; see: kgctl peer set --help")
        return changed

    def _preshared_key(self, keys: NewKeys, target: Target, name: str) -> PresharedKey | None:
        if target.folder is not None:
            refuse_preshared(self.new_preshared_key or self.preshared_key_file is not None)
        if self.remove_preshared_key and (self.new_preshared_key or self.preshared_key_file):
            raise UsageError("--remove-preshared-key conflicts with a new preshared key")
        if self.new_preshared_key:
            return keys.preshared_key(
                self.preshared_key_file or unused(target.key_file(name, ".psk"))
            )
        return given_preshared_key(self.preshared_key_file, False)


class Renewal(NamedTuple):
    """The options that renew the keys of a peer, unparsed."""

    public_key: str | None = None
    private_key_file: Path | None = None
    preshared_key_file: Path | None = None
    keep_preshared_key: bool = False

    def fields(self, keys: NewKeys, target: Target, name: str, *, preshared: bool) -> Object:
        """Return the members of the spec to change; ``preshared`` if the peer has such a key.

        Raises:
            UsageError: a value is invalid, or conflicts with another one or with the peer.
        """
        refuse_both(self.public_key, self.private_key_file)
        if self.preshared_key_file is not None and (self.keep_preshared_key or not preshared):
            raise UsageError(
                "--preshared-key-file is for a new preshared key; to add one to a peer without: "
                f"kgctl peer set {printable(name)} --preshared-key"
            )
        if self.public_key is None:
            key = keys.key_pair(self.private_key_file or unused(target.key_file(name)))
        else:
            key = public_key_of(self.public_key)
        changed: Object = {"publicKey": str(key)}
        if preshared and not self.keep_preshared_key:
            changed["presharedKey"] = keys.preshared_key(self.preshared_key_file).reveal()
        return changed


class Edit:
    """Changes members of a Peer's spec, and remembers the old ones.

    If the endpoint is removed, it sets a keepalive: agents cannot handle a peer without both (see
    ``check_keepalive``).
    """

    def __init__(
        self,
        fields: Object,
        *,
        behind: Sequence[Cidr] | None = None,
        nodes: bool = True,
        settings: Mapping[str, str | None] = NOTHING,
    ) -> None:
        """Take the members; ``behind`` replaces the networks besides the peer's own addresses.

        ``settings`` are annotations to set, or to remove where None.
        """
        self._settings = settings
        self._settings_before: Mapping[str, str] = {}
        self._behind = behind
        self._nodes = nodes
        self._given = fields
        self._fields = fields
        self._before: Object = {}
        self._mended: Mended | None = None

    def __call__(self, peer: Object) -> Object:
        """Return the Peer with the members changed; those that become None are removed.

        Raises:
            UsageError: the result would be invalid.
        """
        from kgctl.state.peer_objects import peer_of

        self._before = spec_of(peer)
        self._settings_before = annotations_of(peer)
        if self._behind is not None and "allowedIPs" not in self._given:
            own = [str(cidr) for cidr in peer_of(peer).allowed_ips if is_own_address(cidr)]
            self._given = {**self._given, "allowedIPs": [*own, *map(str, self._behind)]}
        self._fields = self._given
        parsed = peer_of(self._applied(peer))
        if isinstance(parsed, InvalidPeer):
            raise UsageError(f"the peer would be invalid: {'; '.join(parsed.problems)}")
        if "persistentKeepalive" in self._given:
            check_keepalive(parsed.endpoint, parsed.persistent_keepalive, nodes=self._nodes)
        elif "endpoint" in self._given and parsed.endpoint is None:
            seconds = parsed.persistent_keepalive or NAT_KEEPALIVE
            if seconds != parsed.persistent_keepalive:
                self._fields = {**self._given, "persistentKeepalive": seconds}
        self._mended = self._mended or mended(peer)
        return self._applied(peer)

    def _applied(self, peer: Object) -> Object:
        spec = {**self._before, **self._fields}
        wanted = {key: value for key, value in spec.items() if value is not None}
        return with_settings({**peer, "spec": wanted}, self._settings)

    def tell(self) -> None:
        """Print the old and the new value of each member on stderr."""
        for name, value in self._fields.items():
            _note_change(name, self._before.get(name), value)
        for annotation, text in self._settings.items():
            _note_change(annotation.partition("/")[2], self._settings_before.get(annotation), text)

    def note_hidden(self, target: Target, peer: Object) -> None:
        """Print on stderr which leaders may miss the change of the Peer to ``peer``."""
        from kgctl.errors import ClusterError

        try:
            state = target.state()
        except ClusterError:  # the user may change peers, but not list nodes
            return
        note_hidden_peer(state, {**peer, "spec": self._before}, peer)

    def tell_when_heard(self) -> None:
        """Print on stderr when agents apply the change, if the Peer was invalid before."""
        if self._mended is None or not self._nodes:
            return
        note("it was invalid, so it was written twice: agents apply the second change at once")
        if self._mended.key is None:
            note(f"its old public key cannot be read: {KEPT}")


def _note_change(name: str, before: object, value: object) -> None:
    if before == value:
        note(f"{name}: {_shown(name, value)}, unchanged")
    else:
        note(f"{name}: {_shown(name, before)} -> {_shown(name, value)}")


def _shown(field: str, value: object) -> str:
    """Return a member of a spec to show: never a preshared key, never raw text."""
    if value is None:
        return "none"
    if field == "presharedKey":
        return "(a key that is not shown)"
    if isinstance(value, list):
        return ",".join(printable(str(one), 60) for one in value[:20]) or "none"
    if isinstance(value, dict):
        host = value.get("dnsOrIP")
        named = (host.get("dns") or host.get("ip")) if isinstance(host, dict) else None
        return printable(f"{named} port {value.get('port')}", 300)
    return printable(str(value), 100)


def set_peer(target: Target, name: str, changes: Changes, dry_run: str, output: str | None) -> None:
    """Change fields of a peer without losing concurrent changes of others."""
    from kgctl.edit.enrolment import check_key

    keys = NewKeys()
    behind = None if changes.lan is None else networks_behind(changes.lan)
    in_cluster = target.folder is None
    edit = Edit(
        changes.fields(keys, target, name),
        behind=behind,
        nodes=in_cluster,
        settings=changes.settings,
    )
    note_host_bits(changes.allowed_ips)
    warn_of_claims(name, changes.allowed_ips)
    warn_of_address(endpoint_of(changes.endpoint or None))
    warn_of_name(endpoint_of(changes.endpoint or None), target.look_up)
    key, addresses, store = changes.key(), changes.addresses(), target.store()
    store.get(name)  # fails before a key is written for a peer that does not exist
    if key is not None and not changes.force:
        check_key(target.state(), key, name)
    if dry_run == "none":
        with keys.in_files():
            peer = _write(target, store, name, edit, addresses)
    else:
        addresses.check(target.state(), name)
        peer = edit(store.get(name))
        if dry_run == "server":
            peer = store.replace(peer, dry_run=True)
    show(peer, output, f"configured{DRY_RUNS[dry_run]}", target.kind)
    edit.tell()
    note_expiry(changes.settings, in_cluster=in_cluster)
    if dry_run == "none":
        edit.tell_when_heard()
        edit.note_hidden(target, peer)
        keys.tell()


def _write(target: Target, store: PeerStore, name: str, edit: Edit, addresses: Addresses) -> Object:
    from kgctl.edit.enrolment import change, move

    if addresses.fixed:
        return move(store, target.state, name, edit, addresses)
    return change(store, name, edit)


def rotate_peer(target: Target, name: str, renewal: Renewal) -> None:
    """Replace the keys of a peer; its other fields stay."""
    from kgctl.edit.enrolment import change, check_key

    keys, store = NewKeys(), target.store()
    preshared = bool(spec_of(store.get(name)).get("presharedKey"))
    folder = target.folder
    keys.directory = None if folder is None or renewal.private_key_file else folder.keys
    edit = Edit(renewal.fields(keys, target, name, preshared=preshared), nodes=folder is None)
    if renewal.public_key is not None:
        check_key(target.state(), public_key_of(renewal.public_key), name)
    with keys.in_files():
        peer = change(store, name, edit)
    show(peer, None, "rotated", target.kind)
    edit.tell()
    edit.tell_when_heard()
    edit.note_hidden(target, peer)
    keys.tell()
    tell_next(target, name, keys.private_key_file)


def rename_peer(target: Target, name: str, new: str, dry_run: str) -> None:
    """Rename a peer of a network in a folder, its manifest, and the files of its keys.

    Raises:
        UsageError: the network is that of a cluster, or the new name is invalid.
        ClusterError: the peer does not exist, or the new name does.
    """
    check_name(new)
    if target.folder is None:
        raise UsageError(
            "a peer of a cluster cannot be renamed: add it under the new name, with its public key "
            f"and --force (kgctl peer add {new}), then remove it (kgctl peer rm {printable(name)})"
        )
    target.folder.peers().give_name(name, new, dry_run=dry_run != "none")
    if dry_run == "none":
        target.folder.rename_keys(name, new)
    answer(f"{target.kind}/{printable(name)} renamed to {new}{DRY_RUNS[dry_run]}\n")
