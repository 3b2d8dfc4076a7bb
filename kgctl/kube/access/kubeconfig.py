"""The API server and user to access: kubeconfig files, merged by kubectl's rules.

The rules are those of "Organizing Cluster Access Using kubeconfig Files" in the Kubernetes docs: a
given file is used alone, else every file of ``KUBECONFIG``, else ``~/.kube/config``. The first file
that sets a name or the current context wins. A path is relative to its file. Without any of these
files, a Pod's service account is used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from kgctl.errors import KubeconfigError
from kgctl.kube.access.kubeconfig_file import read_kubeconfig
from kgctl.mesh.text import printable, without_logins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from urllib.parse import SplitResult

IN_CLUSTER = "in-cluster"
"""The name of the context for a Pod's service account."""

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

_REDACTED = ("REDACTED", "DATA+OMITTED")  # printed by ``kubectl config view`` for secrets
_CLUSTER_PATHS = ("certificate-authority",)
_USER_PATHS = ("client-certificate", "client-key", "tokenFile")
_LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}


class Access(NamedTuple):
    """One context of a kubeconfig: a server, how to trust it, and the user's credentials.

    ``cluster`` and ``user`` are as in the kubeconfig, except that paths are absolute. ``origin``
    describes their source in messages. ``files`` are the kubeconfig files that were read, and
    ``user_name`` is the user's name in them.
    """

    server: str
    cluster: Mapping[str, Any]
    user: Mapping[str, Any]
    context: str
    origin: str
    files: Sequence[str]
    user_name: str = ""


def server_url(access: Access) -> SplitResult:
    """Return the URL of the server, split.

    Raises:
        KubeconfigError: it is none, or holds what cannot be sent.
    """
    try:
        url = urlsplit(access.server)
        url.port  # noqa: B018 - it raises where the port is none
    except ValueError as error:
        raise _no_url(access) from error
    sent = url.path + url.netloc.rpartition("@")[2]
    if not url.hostname or not (sent.isascii() and sent.isprintable() and " " not in sent):
        raise _no_url(access)
    return url


def _no_url(access: Access) -> KubeconfigError:
    server = printable(without_logins(access.server), 200)
    return KubeconfigError(
        f'the server "{server}" of {access.origin} is not a valid URL: write https://HOST:PORT'
    )


class _Merged:
    """The merged content of several files; the first file that has a name wins."""

    def __init__(self) -> None:
        self.clusters: dict[str, dict[str, Any]] = {}
        self.users: dict[str, dict[str, Any]] = {}
        self.contexts: dict[str, dict[str, Any]] = {}
        self.current = ""
        self.empty = True


def load_access(
    kubeconfig: str | None = None,
    context: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Access:
    """Find the API server and user that kubectl would use.

    Args:
        kubeconfig: the only file to read; None for the usual places.
        context: the context to use; None for the current one. In a Pod, ``in-cluster`` is always
            that of its service account.
        environment: replaces ``os.environ``.

    Raises:
        KubeconfigError: there is none, it cannot be read, or it refers to a missing entry.
    """
    environment = os.environ if environment is None else environment
    in_pod = bool(environment.get("KUBERNETES_SERVICE_HOST"))
    if in_pod and context == IN_CLUSTER:
        return _in_cluster(environment)
    files, missing = _files(kubeconfig, environment)
    if files:
        return _select(_merge(files), context, files, missing)
    if in_pod and context is None:
        return _in_cluster(environment)
    why = "set KUBECONFIG"
    if missing:
        named = printable(os.pathsep.join(missing))
        why = f"KUBECONFIG names {named}, which does not exist; {why}"
    raise KubeconfigError(f"found no kubeconfig: {why}", field="kubeconfig")


def access_by_flags(
    kubeconfig: str | None = None,
    context: str | None = None,
    server: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Access:
    """Find the API server and user of a daemon, as client-go's ``BuildConfigFromFlags`` does.

    If nothing is given, a Pod's service account is used, also if the Pod has a kubeconfig; outside
    a Pod, what ``load_access`` finds. A given ``server`` replaces that of the kubeconfig, and goes
    without credentials if neither a kubeconfig nor a context is given.

    Raises:
        KubeconfigError: as for ``load_access``, or the server is not a valid URL.
    """
    environment = os.environ if environment is None else environment
    named = bool(kubeconfig or context)
    if not server:
        in_pod = bool(environment.get("KUBERNETES_SERVICE_HOST"))
        return load_access(kubeconfig, IN_CLUSTER if in_pod and not named else context, environment)
    access = Access("", {}, {}, "", "the given server", ())
    if named:
        access = load_access(kubeconfig, context, environment)
    access = access._replace(server=_server({"server": server}, "the given address"))
    server_url(access)
    if access.server.startswith("http://"):
        access = access._replace(user={})  # as in load_access
    return access


def _files(
    kubeconfig: str | None, environment: Mapping[str, str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the files to read, and the missing files in ``KUBECONFIG``."""
    if kubeconfig:
        path = Path(kubeconfig).expanduser()
        if not _exists(path):
            raise KubeconfigError(f"there is no kubeconfig file {printable(kubeconfig)}")
        return [str(path)], []
    listed = [path for path in environment.get("KUBECONFIG", "").split(os.pathsep) if path]
    if not listed:
        home = environment.get("HOME") or Path.home()
        usual = Path(home, ".kube", "config")
        return [str(usual)] if _exists(usual) else [], []
    there = {path: _exists(Path(path)) for path in listed}
    return [path for path in there if there[path]], [path for path in there if not there[path]]


def _exists(path: Path) -> bool:
    """Return whether a file exists; also if that cannot be checked: reading it raises the error."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


def _merge(files: Sequence[str]) -> _Merged:
    merged = _Merged()
    for path in files:
        content = read_kubeconfig(path)
        merged.empty = merged.empty and not content
        for kind, member in _LISTS.items():
            into: dict[str, dict[str, Any]] = getattr(merged, kind)
            for name, entry in _named(content, kind, member, path):
                into.setdefault(name, _absolute(entry, Path(path).absolute().parent))
        merged.current = merged.current or _text(content.get("current-context"))
    return merged


def _named(
    content: Mapping[str, Any], kind: str, member: str, path: str
) -> list[tuple[str, dict[str, Any]]]:
    entries = content.get(kind) or []
    found = []
    for entry in entries if isinstance(entries, list) else [entries]:
        value = entry.get(member, {}) if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(value or {}, dict):
            raise KubeconfigError(
                f"{printable(path)} is not a kubeconfig: {kind} must be a list of name and {member}"
            )
        found.append((_text(entry.get("name")), value or {}))
    return found


def _text(value: object) -> str:
    """Return a YAML scalar as it was written: a context may be named ``1``."""
    return "" if value is None else str(value)


def _absolute(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    for key in (*_CLUSTER_PATHS, *_USER_PATHS):
        if entry.get(key):
            entry[key] = str(folder / _text(entry[key]))
    plugin = entry.get("exec")
    if isinstance(plugin, dict):
        command = _text(plugin.get("command"))
        if "/" in command or os.sep in command:  # a bare name is searched on the PATH
            plugin["command"] = str(folder / command)
    return entry


def _select(
    merged: _Merged, context: str | None, files: Sequence[str], missing: Sequence[str]
) -> Access:
    where = printable(os.pathsep.join(files))
    also = printable(os.pathsep.join(missing))
    lacking = f"; KUBECONFIG also names {also}, which does not exist" if missing else ""
    name = context or merged.current
    if not name:
        raise _undecided(merged, where, lacking)
    if name not in merged.contexts:
        raise KubeconfigError(
            f'no context named "{printable(name)}" in {where}{_nearest(name, merged.contexts)}'
            f"{lacking}"
        )
    chosen = merged.contexts[name]
    cluster = _referenced(merged.clusters, chosen, "cluster", name, f"{where}{lacking}")
    user_name = _text(chosen.get("user"))
    user = _referenced(merged.users, chosen, "user", name, f"{where}{lacking}") if user_name else {}
    origin = f'context "{printable(name)}" of {where}'
    for settings in (cluster, user):
        _refuse_redacted(settings, origin)
    _refuse_contradiction(cluster, origin)
    server = _server(cluster, origin)
    if server.startswith("http://") and user:
        # as in client-go: without TLS, no credentials are sent and no exec plugin is run
        origin += "; its credentials are not sent over http://"
        user = {}
    return Access(server, cluster, user, name, origin, tuple(files), user_name)


def _undecided(merged: _Merged, where: str, lacking: str) -> KubeconfigError:
    """Return the error of a kubeconfig without a current context."""
    if merged.empty:
        return KubeconfigError(
            f"the kubeconfig {where} is empty{lacking}: use another one", field="manifests"
        )
    unset = f"no current-context is set in {where}"
    if not merged.contexts:
        return KubeconfigError(f"{unset}, and it has no contexts{lacking}: use another one")
    return KubeconfigError(
        f"{unset}{lacking}: choose a context{_choices(merged.contexts)}",
        field="context",
        alternatives=tuple(merged.contexts),
    )


def _refuse_redacted(settings: object, origin: str) -> None:
    """Refuse the placeholders that ``kubectl config view`` prints for secrets.

    Raises:
        KubeconfigError: there is one.
    """
    if isinstance(settings, dict):
        for key, value in settings.items():
            if value in _REDACTED:
                raise KubeconfigError(
                    f"{printable(_text(key), 60)} of {origin} is {value}: kubectl config view "
                    "omits secrets; write the file again with: kubectl config view --raw"
                )
            _refuse_redacted(value, origin)
    elif isinstance(settings, list):
        for value in settings:
            _refuse_redacted(value, origin)


def _refuse_contradiction(cluster: Mapping[str, Any], origin: str) -> None:
    """Refuse an authority that would not be used, as kubectl does."""
    if _text(cluster.get("insecure-skip-tls-verify")).lower() != "true":
        return
    for key in ("certificate-authority", "certificate-authority-data"):
        if cluster.get(key):
            raise KubeconfigError(
                f"{origin} sets both {key} and insecure-skip-tls-verify: kubectl allows only one "
                "of them; remove insecure-skip-tls-verify, so that the server is verified"
            )


def _server(cluster: Mapping[str, Any], origin: str) -> str:
    """Return the URL of the API server."""
    server = _without_login(_text(cluster.get("server")).strip().rstrip("/"))
    if server.startswith(("https://", "http://")):
        return server
    if not server:
        raise KubeconfigError(f"{origin} has no server: set it to https://HOST:PORT")
    shown = printable(server, 200)
    if "/" not in server.partition("://")[0] and "://" not in server:
        raise KubeconfigError(
            f'the server "{shown}" of {origin} has no scheme: write https://{shown}'
        )
    raise KubeconfigError(
        f'the server of {origin} must start with https:// or http://, not "{shown}"'
    )


def _without_login(url: str) -> str:
    """Return the URL without user and password, which are unused and must not get into messages."""
    scheme, separator, rest = url.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _referenced(
    entries: Mapping[str, dict[str, Any]], chosen: Mapping[str, Any], kind: str, name: str, at: str
) -> dict[str, Any]:
    wanted = _text(chosen.get(kind))
    if not wanted:
        raise KubeconfigError(f'context "{printable(name)}" of {at} names no {kind}')
    if wanted not in entries:
        raise KubeconfigError(
            f'context "{printable(name)}" names the {kind} "{printable(wanted)}", '
            f"which is not in {at}"
        )
    return entries[wanted]


def _nearest(name: str, contexts: Mapping[str, Any]) -> str:
    import difflib

    close = difflib.get_close_matches(name, list(contexts), n=1)
    return f': did you mean "{printable(close[0])}"?' if close else _choices(contexts)


def _choices(contexts: Mapping[str, Any]) -> str:
    if not contexts:
        return ": it has no contexts"
    shown = ", ".join(printable(name, 60) for name in sorted(contexts)[:10])
    return f" (known: {shown}{', …' if len(contexts) > 10 else ''})"


def _in_cluster(environment: Mapping[str, str]) -> Access:
    token, authority = f"{SERVICE_ACCOUNT}/token", f"{SERVICE_ACCOUNT}/ca.crt"
    if not Path(token).exists():
        raise KubeconfigError(
            f"found no kubeconfig, and no service account at {SERVICE_ACCOUNT}: "
            "let the Pod mount its service account's token, or set KUBECONFIG"
        )
    host = environment["KUBERNETES_SERVICE_HOST"]
    port = environment.get("KUBERNETES_SERVICE_PORT") or "443"
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        cluster={"certificate-authority": authority},
        user={"tokenFile": token},
        context="",
        origin="this Pod's service account",
        files=(),
    )
