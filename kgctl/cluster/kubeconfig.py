"""Which API server to talk to, and as whom: kubeconfig files, merged by kubectl's rules.

The rules are those of "Organizing Cluster Access Using kubeconfig Files" in the Kubernetes docs:
``--kubeconfig`` alone, else every file of ``KUBECONFIG``, else ``~/.kube/config``; the first file
to set a name or the current context wins; a path is relative to the file that holds it.
Without any of these, a Pod's service account is used.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.cluster.errors import KubeconfigError
from kgctl.cluster.plainyaml import NotPlainError, read_plain
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IN_CLUSTER = "in-cluster"
"""The name of the context that a Pod's service account makes, where no kubeconfig has one."""

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

_CLUSTER_PATHS = ("certificate-authority",)
_USER_PATHS = ("client-certificate", "client-key", "tokenFile")
_LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}


class Access(NamedTuple):
    """One context of a kubeconfig: a server, how to trust it, and the user's credentials.

    ``cluster`` and ``user`` are as the kubeconfig holds them, except that paths are absolute.
    ``origin`` says for messages where they come from; ``files`` are the kubeconfig files read.
    """

    server: str
    cluster: Mapping[str, Any]
    user: Mapping[str, Any]
    context: str
    origin: str
    files: Sequence[str]


class _Merged:
    """What several files say together; the first of them to name something wins."""

    def __init__(self) -> None:
        self.clusters: dict[str, dict[str, Any]] = {}
        self.users: dict[str, dict[str, Any]] = {}
        self.contexts: dict[str, dict[str, Any]] = {}
        self.current = ""


def load_access(
    kubeconfig: str | None = None,
    context: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Access:
    """Find the API server and user that kubectl would use.

    Args:
        kubeconfig: the one file to read; None for the usual places.
        context: the context to use; None for the current one. In a Pod, ``in-cluster`` is that of
            its service account, whatever kubeconfigs there are.
        environment: stands for ``os.environ``, so that a caller can choose another.

    Raises:
        KubeconfigError: there is none, it cannot be read, or it names what is not there.
    """
    environment = os.environ if environment is None else environment
    in_pod = bool(environment.get("KUBERNETES_SERVICE_HOST"))
    if in_pod and context == IN_CLUSTER:
        return _in_cluster(environment)
    files = _files(kubeconfig, environment)
    if not files:
        if in_pod and context is None:
            return _in_cluster(environment)
        raise KubeconfigError(
            "found no kubeconfig: set KUBECONFIG, give --kubeconfig FILE, or read files with -f"
        )
    return _select(_merge(files), context, files)


def _files(kubeconfig: str | None, environment: Mapping[str, str]) -> list[str]:
    if kubeconfig:
        path = Path(kubeconfig).expanduser()
        if not path.exists():
            raise KubeconfigError(f"there is no kubeconfig file {printable(kubeconfig)}")
        return [str(path)]
    listed = [path for path in environment.get("KUBECONFIG", "").split(os.pathsep) if path]
    if not listed:
        home = environment.get("HOME") or Path.home()
        listed = [str(Path(home, ".kube", "config"))]
    return [path for path in dict.fromkeys(listed) if Path(path).exists()]


def _merge(files: Sequence[str]) -> _Merged:
    merged = _Merged()
    for path in files:
        content = _parse(path)
        for kind, member in _LISTS.items():
            into: dict[str, dict[str, Any]] = getattr(merged, kind)
            for name, entry in _named(content, kind, member, path):
                into.setdefault(name, _absolute(entry, Path(path).absolute().parent))
        merged.current = merged.current or _text(content.get("current-context"))
    return merged


def _parse(path: str) -> dict[str, Any]:
    shown = printable(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise KubeconfigError(f"cannot read the kubeconfig {shown}: {why}") from error
    content = _decode(text, shown)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise KubeconfigError(f"{shown} is no kubeconfig: it holds no mapping")
    return content


def _decode(text: str, shown: str) -> object:
    """Decode YAML, by the shortest way that leads to what PyYAML would say."""
    if text.startswith("{"):
        import json

        with suppress(ValueError, RecursionError):
            return json.loads(text)
    with suppress(NotPlainError):
        return read_plain(text)
    import yaml

    from kgctl.cluster.yamlloader import BoundedLoader

    try:
        return yaml.load(text, Loader=BoundedLoader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        raise KubeconfigError(f"{shown} is no kubeconfig: it is no valid YAML{line}") from error


def _named(
    content: Mapping[str, Any], kind: str, member: str, path: str
) -> list[tuple[str, dict[str, Any]]]:
    entries = content.get(kind) or []
    found = []
    for entry in entries if isinstance(entries, list) else [entries]:
        value = entry.get(member, {}) if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(value or {}, dict):
            raise KubeconfigError(
                f"{printable(path)} is no kubeconfig: {kind} must be a list of name and {member}"
            )
        found.append((_text(entry.get("name")), value or {}))
    return found


def _text(value: object) -> str:
    """Return a YAML scalar as the text it was written as: a context may be named ``1``."""
    return "" if value is None else str(value)


def _absolute(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    for key in (*_CLUSTER_PATHS, *_USER_PATHS):
        if entry.get(key):
            entry[key] = str(folder / _text(entry[key]))
    plugin = entry.get("exec")
    if isinstance(plugin, dict):
        command = _text(plugin.get("command"))
        if "/" in command or os.sep in command:  # a bare name is looked for on the PATH
            plugin["command"] = str(folder / command)
    return entry


def _select(merged: _Merged, context: str | None, files: Sequence[str]) -> Access:
    where = printable(os.pathsep.join(files))
    name = context or merged.current
    if not name:
        raise KubeconfigError(
            f"no current-context is set in {where}: give --context{_choices(merged.contexts)}"
        )
    if name not in merged.contexts:
        raise KubeconfigError(
            f'no context named "{printable(name)}" in {where}{_nearest(name, merged.contexts)}'
        )
    chosen = merged.contexts[name]
    cluster = _referenced(merged.clusters, chosen, "cluster", name, where)
    user = _referenced(merged.users, chosen, "user", name, where) if chosen.get("user") else {}
    server = _text(cluster.get("server")).rstrip("/")
    origin = f'context "{printable(name)}" of {where}'
    if not server.startswith(("https://", "http://")):
        raise KubeconfigError(f"{origin} has no server that starts with https:// or http://")
    return Access(server, cluster, user, name, origin, tuple(files))


def _referenced(
    entries: Mapping[str, dict[str, Any]], chosen: Mapping[str, Any], kind: str, name: str, at: str
) -> dict[str, Any]:
    wanted = _text(chosen.get(kind))
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
    return f" (there is {shown}{', …' if len(contexts) > 10 else ''})"


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
