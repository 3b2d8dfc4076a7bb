"""``kgctl peer set``, ``rotate``, ``rm`` and ``validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.cli.arguments import UsageError, cidrs
from kgctl.cli.output import answer, note
from kgctl.cli.peer_add import (
    KIND,
    changeable,
    endpoint_of,
    keepalive_of,
    new_key_file,
    preshared_key_of,
    public_key_of,
    show,
)
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.cli.shared import Shared
    from kgctl.mesh.key import PresharedKey

Object = dict[str, Any]


class InvalidPeersError(KgctlError):
    """Some Peers break Kilo's rules; each was named before."""


class MissingPeersError(KgctlError):
    """Some of the peers to be deleted are not there."""


class Changes(NamedTuple):
    """What was given to be changed of a peer; None where nothing was."""

    allowed_ips: list[str] | None = None
    public_key: str | None = None
    preshared_key_file: Path | None = None
    generate_preshared_key: bool = False
    remove_preshared_key: bool = False
    endpoint: str | None = None
    persistent_keepalive: int | None = None
    service_cidr: list[str] | None = None
    force: bool = False

    def fields(self) -> Object:
        """Return the members of the spec that change; None for one that is removed.

        Raises:
            UsageError: a value is wrong, or nothing was given.
        """
        from kgctl.render.manifest import endpoint_object

        changed: Object = {}
        if self.allowed_ips is not None:
            changed["allowedIPs"] = [str(c) for c in cidrs("--allowed-ips", self.allowed_ips)]
        if self.public_key is not None:
            changed["publicKey"] = str(public_key_of(self.public_key))
        if self.endpoint is not None:
            endpoint = endpoint_of(self.endpoint) if self.endpoint else None
            changed["endpoint"] = None if endpoint is None else endpoint_object(endpoint)
        if self.persistent_keepalive is not None:
            changed["persistentKeepalive"] = keepalive_of(self.persistent_keepalive)
        changed |= self._preshared_key()
        if not changed:
            raise UsageError("nothing to change is given; see: kgctl peer set --help")
        return changed

    def _preshared_key(self) -> Object:
        key: PresharedKey | None = preshared_key_of(
            self.preshared_key_file, self.generate_preshared_key
        )
        if key is not None and self.remove_preshared_key:
            raise UsageError("--remove-preshared-key does not go with a preshared key")
        if key is None and not self.remove_preshared_key:
            return {}
        return {"presharedKey": None if key is None else key.reveal()}


def set_peer(shared: Shared, name: str, changes: Changes, dry_run: str, output: str | None) -> None:
    """Change some fields of a peer; nothing that another changes meanwhile is lost."""
    from kgctl.cluster.enrolment import change

    fields = changes.fields()
    cluster = changeable(shared)
    if changes.allowed_ips is not None and not changes.force:
        _check_free(cluster, name, changes)
    store = cluster.peers()
    if dry_run == "client":
        show(_changed(store.get(name), fields), output, "configured (dry run)")
        return
    if dry_run == "server":
        stored = store.replace(_changed(store.get(name), fields), dry_run=True)
        show(stored, output, "configured (server dry run)")
        return
    show(change(store, name, lambda peer: _changed(peer, fields)), output, "configured")


def _changed(peer: Object, fields: Object) -> Object:
    """Return the Peer with the fields changed.

    Raises:
        UsageError: it would not be valid.
    """
    from kgctl.cluster.peerobjects import peer_of
    from kgctl.mesh.peer import InvalidPeer

    spec = {**peer["spec"], **fields}
    result = {**peer, "spec": {key: value for key, value in spec.items() if value is not None}}
    parsed = peer_of(result)
    if isinstance(parsed, InvalidPeer):
        raise UsageError(f"the peer would not be valid: {'; '.join(parsed.problems)}")
    return result


def _check_free(cluster: Any, name: str, changes: Changes) -> None:
    from kgctl.cluster.enrolment import check_free, claims_beside
    from kgctl.cluster.objects import state_of

    services = cidrs("--service-cidr", changes.service_cidr)
    claims = claims_beside(state_of(cluster.read()), name, services)
    check_free(cidrs("--allowed-ips", changes.allowed_ips), claims)


def rotate_peer(shared: Shared, name: str, file: Path | None) -> None:
    """Give a peer new keys; the private one goes into a new file."""
    from kgctl.cluster.enrolment import change
    from kgctl.wireguard.keys import generate_preshared_key

    store = changeable(shared).peers()
    path = file or Path(f"{name}.key")
    store.get(name)  # before a key is made for a peer that is not there
    with new_key_file(path) as public_key:
        preshared_key = generate_preshared_key().reveal()

        def renewed(peer: Object) -> Object:
            fields = {"publicKey": str(public_key)}
            if peer["spec"].get("presharedKey"):
                fields["presharedKey"] = preshared_key
            return _changed(peer, fields)

        show(change(store, name, renewed), None, "rotated")
    note(f"its new private key is in {path}; next: kgctl showconf peer {printable(name)} "
         f"-o wg-quick --private-key {path}")  # fmt: skip


def remove_peers(shared: Shared, names: list[str], ignore_not_found: bool, dry_run: str) -> None:
    """Delete peers one by one; one that is missing keeps none of the others from it."""
    from kgctl.cluster.errors import NotFoundError, PeersNotServedError

    store = changeable(shared).peers()
    missing = []
    for name in names:
        try:
            if dry_run == "client":
                store.get(name)
            else:
                store.delete(name, dry_run=dry_run == "server")
        except PeersNotServedError:
            raise
        except NotFoundError:
            missing.append(f'"{printable(name)}"')
            continue
        kind = {"none": "", "client": " (dry run)", "server": " (server dry run)"}[dry_run]
        answer(f'{KIND} "{printable(name)}" deleted{kind}\n')
    if missing and not ignore_not_found:
        raise MissingPeersError(f"there is no peer named {', '.join(missing)}")


def validate_peers(shared: Shared) -> None:
    """Check every Peer that is read: say what is wrong with one, and which ones overlap."""
    from kgctl.cli.reading import source_of
    from kgctl.cluster.objects import state_of

    state = state_of(source_of(shared).read())
    for peer in state.invalid_peers:
        note(f"{KIND}/{printable(peer.name)} is invalid: {'; '.join(peer.problems)}")
    owners: dict[str, str] = {}
    for valid in state.peers:
        for cidr in map(str, dict.fromkeys(valid.allowed_ips)):
            first = owners.setdefault(cidr, valid.name)
            if first != valid.name:
                note(
                    f"{KIND}/{printable(valid.name)} does not get {cidr}: {printable(first)} has it"
                )
    if state.invalid_peers:
        count = len(state.invalid_peers)
        raise InvalidPeersError(f"{count} of {count + len(state.peers)} peers invalid")
    answer(f"{len(state.peers)} peers valid\n")
