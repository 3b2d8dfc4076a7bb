"""Whether names resolve, for many at once and in a few seconds: asked by check and peer add.

"There is no such name" and "nobody could be asked" are told apart: only the first says something
about the name.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from kgctl.host.names import look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kgctl.mesh.cidr import Address

SECONDS = 5.0
"""How long all look-ups together may take."""

_AT_ONCE = 16
_NO_SUCH_NAME = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)
_NEVER = ".invalid"  # RFC 6761, section 6.4: no such name resolves, and nobody has to be asked


class LookedUp(NamedTuple):
    """What was found out: names that do not resolve, and those that could not be asked for.

    Each maps a name to why, in words of the system's.
    """

    missing: Mapping[str, str]
    unasked: Mapping[str, str]


def look_up_all(
    names: Iterable[str],
    *,
    seconds: float = SECONDS,
    lookup: Callable[[str], list[Address]] = look_up,
) -> LookedUp:
    """Look up names, several at once; those that ``seconds`` do not suffice for are unasked."""
    wanted = dict.fromkeys(names)
    missing = {name: "the top-level domain is reserved for names that do not exist"
               for name in wanted if f".{name}".endswith(_NEVER)}  # fmt: skip
    asked = [name for name in wanted if name not in missing]
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[str, bool, str]] = queue.SimpleQueue()
    for name in asked:
        waiting.put(name)
    for _ in range(min(_AT_ONCE, len(asked))):
        # daemons: a resolver that hangs keeps nobody from ending
        threading.Thread(
            target=_work, args=(waiting, answers, lookup), daemon=True, name="look-up"
        ).start()
    unasked = dict.fromkeys(asked, "no answer in time")
    end = time.monotonic() + seconds
    for _ in asked:
        try:
            name, known, why = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if not known:
            unasked[name] = why
            continue
        del unasked[name]
        if why:
            missing[name] = why
    return LookedUp(missing, unasked)


def _work(
    waiting: queue.SimpleQueue[str],
    answers: queue.SimpleQueue[tuple[str, bool, str]],
    lookup: Callable[[str], list[Address]],
) -> None:
    """Look up what is waiting; answer with the name, whether that is known, and why it is none."""
    while True:
        try:
            name = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            why = "" if lookup(name) else "it has no address"
            answers.put((name, True, why))
        except socket.gaierror as error:
            answers.put((name, error.errno in _NO_SUCH_NAME, error.strerror or str(error)))
        except (OSError, UnicodeError) as error:
            answers.put((name, False, str(error)))
