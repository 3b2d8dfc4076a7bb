"""What kgctl has made of an interface, kept in a file for the next start and for ``status``.

After ``kill -9`` this is how the next start knows what is left over. No secret is in it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from kgctl.host.errors import BusyError, HostError
from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.mesh.key import PublicKey

_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPeer:
    """What the network says of one peer of the device; ``endpoint`` is what we had set last."""

    name: str = ""
    wanted_endpoint: str = ""
    endpoint: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was made: the link, if ``made_link``, and the Peer object ``peer`` with ``peer_key``.

    ``link_index`` tells a link from a later one of the same name. ``peers`` is by public key.
    """

    interface: str
    pid: int = 0
    made_link: bool = False
    link_index: int = 0
    addresses: tuple[str, ...] = ()
    peer: str = ""
    peer_key: str = ""
    peers: dict[str, KnownPeer] = field(default_factory=dict)


def given_endpoints(record: Record | None) -> dict[PublicKey, Endpoint]:
    """Return the endpoints that were set on the device, by key."""
    found = {}
    for text, peer in (record.peers if record else {}).items():
        key, endpoint = PublicKey.parse(text), parse_endpoint(peer.endpoint)
        if key is not None and endpoint is not None:
            found[key] = endpoint
    return found


def directory() -> Path:
    """Return where the records are: systemd's choice, ``/run/kgctl``, or the user's own.

    Raises:
        HostError: there is no place for them.
    """
    named = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    own = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path(named)] if named else [Path("/run/kgctl")]
    places += [Path(own, "kgctl")] if own else []
    for place in places:
        with suppress(OSError):
            place.mkdir(mode=0o755, exist_ok=True)
            if os.access(place, os.W_OK):
                return place
    tried = " or ".join(map(str, places))
    raise HostError(f"cannot write to {tried}: name a directory in RUNTIME_DIRECTORY")


def network_namespace() -> int:
    """Return the number of this process' network namespace: interfaces are named within it."""
    return Path("/proc/self/ns/net").stat().st_ino


class RecordFile:
    """The file of one interface, and the lock on the interface: at most one kgctl holds it."""

    def __init__(self, interface: str, place: Path | None = None) -> None:
        self.interface = interface
        self._path = (place or directory()) / f"{interface}.{network_namespace()}.json"
        self._lock: int | None = None

    def lock(self) -> None:
        """Take the interface until ``unlock``, or until this process ends.

        Raises:
            BusyError: another kgctl has it.
            HostError: the lock file cannot be written.
        """
        import fcntl  # of Unix alone

        path = self._path.with_suffix(".lock")
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            raise HostError(f"cannot write {path}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            found = self.read()
            holder = f" (process {found.pid})" if found is not None and found.pid else ""
            raise BusyError(
                f"another kgctl connect{holder} has the interface {self.interface}: end it "
                "first, or give this one another name with --interface"
            ) from None
        self._lock = handle

    def unlock(self) -> None:
        """Leave the interface to others. The lock file stays: removing it would race with them."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self) -> Record | None:
        """Return what was recorded, or None; what cannot be understood counts as nothing."""
        try:
            found = json.loads(self._path.read_text())
            return _record(found)
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def write(self, record: Record) -> None:
        """Put down what was made, at once and whole.

        Raises:
            HostError: the file cannot be written.
        """
        draft = self._path.with_suffix(".new")
        try:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
            with os.fdopen(handle, "w") as file:
                json.dump(asdict(record), file)
            draft.replace(self._path)
        except OSError as error:
            raise HostError(f"cannot write {self._path}: {error.strerror}") from error

    def remove(self) -> None:
        """Forget what was made: it is gone."""
        self._path.unlink(missing_ok=True)


def _record(found: dict[str, Any]) -> Record:
    known = {one.name for one in fields(Record)}
    peers = {key: KnownPeer(**value) for key, value in dict(found.pop("peers", {})).items()}
    kept = {name: value for name, value in found.items() if name in known}
    kept["addresses"] = tuple(kept.get("addresses", ()))
    return Record(**kept, peers=peers)


def recorded_interfaces(place: Path | None = None) -> list[str]:
    """Return the interfaces of this network namespace that have a record, sorted."""
    ending = f".{network_namespace()}.json"
    try:
        names = [path.name for path in (place or directory()).iterdir()]
    except (OSError, HostError):
        return []
    return sorted(name.removesuffix(ending) for name in names if name.endswith(ending))
