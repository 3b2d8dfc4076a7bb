"""Answers of exec plugins, kept in files until they expire; kubectl runs the plugin each time.

A plugin of a cloud takes half a second and more, where kgctl takes a tenth. An answer is kept only
if it says when it expires, in a file of mode 0600 in a directory that nobody else can write to. It
is used for the same program, arguments and cluster only, with the same environment, since that may
choose the account. After a refusal of the API server the plugin runs again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgctl.errors import KgctlError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SWITCH = "KGCTL_PLUGIN_CACHE"
"""The environment variable that turns this off: ``off``."""

EARLY = 60.0
"""Seconds before it expires that an answer is no longer used: a request takes time as well."""

_MOST = 1 << 20
# they change with each shell and each directory, and say nothing about an account
_OF_A_SHELL = frozenset(
    {"_", "OLDPWD", "PWD", "SHLVL", "COLUMNS", "LINES", "TERM", "WINDOWID", "TMUX", "TMUX_PANE"}
)


def plugin_identity(argv: Sequence[str], environment: Mapping[str, str], server: str) -> str:
    """Return the name of the file for a plugin's answer: a digest of all that it may depend on."""
    import json
    from hashlib import sha256

    chosen = sorted(item for item in environment.items() if item[0] not in _OF_A_SHELL)
    return sha256(json.dumps([server, *argv, chosen]).encode(errors="surrogatepass")).hexdigest()


def kept_answer(identity: str) -> bytes | None:
    """Return the answer that was kept under this name and still holds; None if there is none."""
    folder = _folder()
    if folder is None:
        return None
    from kgctl.files.own import OwnDirectory

    directory = OwnDirectory(folder)
    try:
        answer = directory.read(identity, _MOST + 1)
        if len(answer) <= _MOST and _holds(answer):
            return answer
        directory.remove(identity)
    except (OSError, KgctlError):
        pass  # none was kept, or not by this user
    return None


def keep_answer(identity: str, answer: bytes) -> None:
    """Keep an answer, if it says when it expires; nothing is raised if it cannot be kept."""
    folder = _folder()
    if folder is None or len(answer) > _MOST or not _holds(answer):
        return
    from kgctl.files.atomic import make_directory
    from kgctl.files.own import OwnDirectory

    try:
        make_directory(folder)
        OwnDirectory(folder).write(identity, answer)
    except (OSError, KgctlError):
        pass  # a home that cannot be written to: the plugin runs each time


def _folder() -> Path | None:
    """Return the directory of the answers; None if it is turned off, or no place is known."""
    if os.environ.get(SWITCH) == "off" or not hasattr(os, "geteuid"):
        return None
    base = os.environ.get("XDG_CACHE_HOME", "")
    home = os.environ.get("HOME", "")
    if base.startswith("/"):
        return Path(base, "kgctl", "credentials")
    return Path(home, ".cache", "kgctl", "credentials") if home.startswith("/") else None


def _holds(answer: bytes) -> bool:
    """Return whether an answer says that it expires later than in ``EARLY`` seconds."""
    import json

    try:
        status: Any = json.loads(answer)["status"]
        text = status["expirationTimestamp"]
        return time.time() + EARLY < _moment(text)
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return False


def _moment(text: str) -> float:
    from datetime import datetime

    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.timestamp()
