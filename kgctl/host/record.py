"""The record file of an interface, for the next start of kgctl and for ``status``.

After ``kill -9`` the next start deletes the interface and the Peer that the record names. So kgctl
trusts a record only in a directory to which nobody but this user and root can write. It contains no
secret.
"""

from __future__ import annotations

import errno
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kgctl.errors import BusyError, HostError
from kgctl.files.atomic import read_unfollowed
from kgctl.files.own import OwnDirectory
from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

RECORD, NODE_RECORD = ".json", ".agent.json"
"""The endings of the files of ``kgctl connect`` and ``kgctl agent``."""

_NO_TIMES: Mapping[str, int] = MappingProxyType({})
_COMMANDS = {"connect": RECORD, "agent": NODE_RECORD}
_MOST_BYTES = 64 << 20
_LOOK = 0.05  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPeer:
    """One peer of the device; ``endpoint`` is the one that kgctl set last.

    ``annotated_endpoint`` is the peer's own annotation. ``sightings`` maps the endpoints at which
    nodes report the peer to the first few of these nodes' names.
    """

    name: str = ""
    wanted_endpoint: str = ""
    endpoint: str = ""
    problem: str = ""
    annotated_endpoint: str = ""
    sightings: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRefusal:
    """Refused claims of a node or peer: ``count`` networks, of which the first few are listed.

    ``reason`` is a word for programs, ``message`` a sentence. The refusal is ``expected`` if the
    user asked for it, or if it changes nothing. ``since`` is when it was first seen (Unix seconds;
    0: unknown).
    """

    claimer: str = ""
    reason: str = ""
    message: str = ""
    networks: tuple[str, ...] = ()
    count: int = 0
    expected: bool = False
    since: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProblem:
    """A sentence about a step that fails, and when it first did (Unix seconds)."""

    message: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What kgctl created: the link, if ``made_link``, and the Peer ``peer`` with ``peer_key``.

    ``link_index`` distinguishes a link from a later one of the same name. ``peers`` is by public
    key. ``program`` is the process id of the userspace WireGuard that kgctl started for the link,
    or 0, and ``program_started`` its start time in clock ticks since boot.

    ``node`` is the node of ``kgctl agent``; empty for a record of ``kgctl connect``. The agent runs
    since ``started`` (Unix seconds; 0: unknown); ``problems`` are those of its last round.
    """

    interface: str
    pid: int = 0
    made_link: bool = False
    link_index: int = 0
    addresses: tuple[str, ...] = ()
    peer: str = ""
    peer_key: str = ""
    peers: dict[str, KnownPeer] = field(default_factory=dict)
    refusals: tuple[KnownRefusal, ...] = ()
    program: int = 0
    program_started: int = 0
    node: str = ""
    started: int = 0
    problems: tuple[KnownProblem, ...] = ()


class Since:
    """Remembers since when states last: the times at which they were first seen (Unix seconds).

    ``earlier`` are those that an earlier process knew.
    """

    def __init__(
        self, earlier: Mapping[str, int] = _NO_TIMES, clock: Callable[[], float] = time.time
    ) -> None:
        self._known = dict(earlier)
        self._clock = clock

    def times(self, states: Iterable[str]) -> dict[str, int]:
        """Return since when each of the present states lasts; all others are over."""
        now = int(self._clock())
        self._known = {one: self._known.get(one, now) for one in states}
        return self._known


def given_endpoints(record: Record | None) -> dict[PublicKey, Endpoint]:
    """Return the endpoints that kgctl set on the device, by key."""
    found = {}
    for text, peer in (record.peers if record else {}).items():
        key, endpoint = PublicKey.parse(text), parse_endpoint(peer.endpoint)
        if key is not None and endpoint is not None:
            found[key] = endpoint
    return found


def directory() -> Path:
    """Return the directory of records: that of systemd, ``/run/kgctl``, or the user's own.

    Raises:
        HostError: no directory is usable, or other users can write to it.
    """
    problems = []
    for place in _places():
        try:
            OwnDirectory(place).make()
        except OSError as error:
            problems.append(f"{printable(str(place))} ({error.strerror})")
            if error.errno == errno.EPERM and os.access(place, os.W_OK):
                break  # no fallback: another kgctl may keep its locks there
        else:
            return place
    raise HostError(
        f"cannot keep records in {' or '.join(problems)}; name a directory of your own in "
        "RUNTIME_DIRECTORY"
    )


def _places() -> list[Path]:
    named = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    own = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path(named)] if named else [Path("/run/kgctl")]
    return [*places, Path(own, "kgctl")] if own else places


def network_namespace() -> int:
    """Return the inode of this process' network namespace, the scope of interface names."""
    return Path("/proc/self/ns/net").stat().st_ino


class OwnFile:
    """A file about one interface of this network namespace, and the lock of the interface.

    At most one kgctl holds the lock, whatever file it writes. ``ending`` distinguishes the files.
    """

    def __init__(self, interface: str, ending: str, place: Path | None = None) -> None:
        self.interface = interface
        self._directory = OwnDirectory(place or directory())
        self._stem = f"{interface}.{network_namespace()}"
        self._name = f"{self._stem}{ending}"
        self._lock: int | None = None

    def lock(self) -> None:
        """Lock the interface until ``unlock``, or until this process ends.

        Raises:
            BusyError: another kgctl holds the lock.
            HostError: the lock file cannot be written, or belongs to another user.
        """
        import fcntl  # only on Unix

        name = f"{self._stem}.lock"
        try:
            handle = self._directory.open_lock(name)
        except OSError as error:
            raise self._unwritable(name, error) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(_LOOK)  # is_locked holds it for a moment
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise BusyError(
                f"another kgctl {self._holder()} uses the interface {self.interface}: end it "
                "first, or give this one another name",
                field="interface",
                value=self.interface,
            ) from None
        self._lock = handle

    def _holder(self) -> str:
        """Return the command that holds the lock, and its process, as its file names them."""
        found: dict[bool, str] = {}
        for command, ending in _COMMANDS.items():
            with suppress(OSError, ValueError, AttributeError):
                content = self._directory.read(f"{self._stem}{ending}", _MOST_BYTES)
                process = json.loads(content).get("pid")
                if isinstance(process, int) and process:
                    # the other command may have left a file too
                    runs = Path("/proc", str(process)).exists()
                    found.setdefault(runs, f"{command} (process {process})")
        return found.get(True) or found.get(False) or next(iter(_COMMANDS))

    def unlock(self) -> None:
        """Unlock the interface. The lock file stays, since removing it would be a race."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def content(self) -> bytes | None:
        """Return the content, or None; a file of another user is ignored."""
        try:
            return self._directory.read(self._name, _MOST_BYTES)
        except OSError:
            return None

    def replace(self, content: bytes) -> None:
        """Write the file atomically.

        Raises:
            HostError: the file cannot be written.
        """
        try:
            self._directory.write(self._name, content)
        except OSError as error:
            raise self._unwritable(self._name, error) from error

    def remove(self) -> None:
        """Remove the file.

        Raises:
            HostError: the file cannot be removed.
        """
        try:
            self._directory.remove(self._name)
        except OSError as error:
            raise self._unwritable(self._name, error) from error

    def _unwritable(self, name: str, error: OSError) -> HostError:
        path = printable(str(self._directory.path / name))
        return HostError(f"cannot write {path}: {error.strerror}")


class RecordFile(OwnFile):
    """The record file of one interface of ``kgctl connect``, and the lock."""

    def __init__(self, interface: str, place: Path | None = None) -> None:
        super().__init__(interface, RECORD, place)
        self._last: tuple[bytes, Record | None] = b"", None
        self._texts: dict[str, tuple[KnownPeer, str]] = {}  # of the peers, as last written

    def read(self) -> Record | None:
        """Return the record, or None; a record of another user is ignored."""
        content = self.content()
        if content is None:
            return None
        if content != self._last[0]:
            self._last = content, _record(content, self.interface)
        return self._last[1]

    def write(self, record: Record) -> None:
        """Write the record atomically.

        Raises:
            HostError: the file cannot be written.
        """
        content = self._text(record).encode()
        self.replace(content)
        self._last = content, record

    def _text(self, record: Record) -> str:
        """Return the text of a record. A peer that is the same object as before keeps its text."""
        known, self._texts = self._texts, {}
        for key, peer in record.peers.items():
            text = known.get(key)
            if text is None or text[0] is not peer:
                text = peer, f"{json.dumps(key)}: {json.dumps(_values(peer))}"
            self._texts[key] = text
        rest = _values(record) | {
            "refusals": [_values(one) for one in record.refusals],
            "problems": [_values(one) for one in record.problems],
        }
        del rest["peers"]
        peers = ", ".join(text for _, text in self._texts.values())
        return f'{json.dumps(rest)[:-1]}, "peers": {{{peers}}}}}'


def _values(one: Record | KnownPeer | KnownRefusal | KnownProblem) -> dict[str, Any]:
    """Return the fields of a value; ``dataclasses.asdict`` copies them too, which takes longer."""
    return {name: getattr(one, name) for name in one.__slots__}


def _refusal(found: dict[str, Any]) -> KnownRefusal:
    return KnownRefusal(**found | {"networks": tuple(found["networks"])})


def _record(content: bytes, interface: str) -> Record | None:
    """Return the record of an interface, or None if it is invalid."""
    try:
        found = json.loads(content)
        peers = {key: KnownPeer(**value) for key, value in found.get("peers", {}).items()}
        kept = {one.name: found[one.name] for one in fields(Record) if one.name in found}
        refusals = tuple(map(_refusal, found.get("refusals", ())))
        kept |= {"peers": peers, "addresses": tuple(kept.get("addresses", ()))}
        problems = tuple(KnownProblem(**one) for one in found.get("problems", ()))
        kept |= {"refusals": refusals, "problems": problems}
        record = Record(**kept)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None
    whole = (
        is_typed_as(record, Record(interface=""))
        and all(isinstance(one, str) for one in record.addresses)
        and all(is_typed_as(one, KnownPeer()) for one in peers.values())
        and all(
            isinstance(names, list) and all(isinstance(name, str) for name in names)
            for one in peers.values()
            for names in one.sightings.values()
        )
        and all(is_typed_as(one, KnownRefusal()) for one in refusals)
        and all(is_typed_as(one, KnownProblem()) for one in problems)
        and all(isinstance(text, str) for one in refusals for text in one.networks)
    )
    return record if whole and record.interface == interface else None


def is_typed_as(one: Any, pattern: Any) -> bool:
    """Return whether each field of a dataclass is of the type of the pattern's."""
    return all(
        type(getattr(one, field.name)) is type(getattr(pattern, field.name))
        for field in fields(pattern)
    )


def recorded_interfaces(place: Path | None = None) -> list[str]:
    """Return the interfaces of this network namespace with a record of any user, sorted."""
    return _with_record(RECORD, place)


def recorded_agents(place: Path | None = None) -> list[str]:
    """Return the interfaces of this network namespace with a record of ``kgctl agent``, sorted."""
    return _with_record(NODE_RECORD, place)


def _with_record(kind: str, place: Path | None) -> list[str]:
    """Return the interfaces with a record of ``kind``, by the ending of its file."""
    ending, names = f".{network_namespace()}{kind}", set()
    for folder in _places() if place is None else [place]:
        with suppress(OSError):
            names |= {path.name for path in folder.iterdir() if path.name.endswith(ending)}
    return sorted(name.removesuffix(ending) for name in names)


def record_to_show(interface: str, place: Path | None = None) -> Record | None:
    """Return the record of an interface of any user, for display only.

    A service may run as its own user, which then owns the record.
    """
    name = f"{interface}.{network_namespace()}.json"
    for folder in _places() if place is None else [place]:
        with suppress(OSError):
            return _record(read_unfollowed(folder / name, _MOST_BYTES), interface)
    return None


def is_locked(interface: str, place: Path | None = None) -> bool | None:
    """Return whether a kgctl of any user uses an interface: it holds the lock; None if unknown.

    A process id would not do: the kgctl may run in a container, with ids of its own.
    """
    import fcntl  # only on Unix

    name = f"{interface}.{network_namespace()}.lock"
    for folder in _places() if place is None else [place]:
        try:
            handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False
    return False
