"""Reader of a kubeconfig file, and writer of the renewed tokens in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgctl.errors import CredentialsError, KubeconfigError
from kgctl.kube.fast import fast_lane
from kgctl.mesh.text import NotTextError, decoded, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.access.kubeconfig import Access

_KEYS = frozenset({"clusters", "users", "contexts", "current-context", "preferences", "extensions"})


def read_kubeconfig(path: str) -> dict[str, Any]:
    """Return the content of the file ``path``; an empty mapping for an empty file.

    It may be YAML or JSON, in UTF-8 or UTF-16. Numbers are returned as text, as written. Of several
    YAML documents, the first one counts, as in kubectl.

    Raises:
        KubeconfigError: it cannot be read, or it is not a kubeconfig.
    """
    shown = printable(path)
    content = _decode(_text_of(path, shown), shown)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise KubeconfigError(f"{shown} is not a kubeconfig: it holds no mapping")
    kind = content.get("kind")
    if kind not in (None, "", "Config"):
        raise KubeconfigError(
            f"{shown} is not a kubeconfig: it holds a {printable(str(kind), 60)}; read manifests "
            f"with -f {shown}"
        )
    if content and not kind and not _KEYS.intersection(content):
        raise KubeconfigError(
            f"{shown} is not a kubeconfig: it holds no clusters, users and contexts"
        )
    return content


def _text_of(path: str, shown: str) -> str:
    try:
        text = decoded(Path(path).read_bytes())
    except (OSError, NotTextError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise KubeconfigError(f"cannot read the kubeconfig {shown}: {why}") from error
    if "\0" in text:
        raise KubeconfigError(
            f"cannot read the kubeconfig {shown}: it holds NUL characters; save it as UTF-8 text"
        )
    return text.replace("\r\n", "\n")


def _decode(text: str, shown: str) -> object:
    """Decode YAML, in the fastest way with the same result as PyYAML."""
    if text.startswith("{"):
        import json

        with suppress(ValueError, RecursionError):
            return json.loads(text)
    if fast_lane():
        from kgctl.kube.fast.plain_yaml import NotPlainError, read_plain

        with suppress(NotPlainError):
            return read_plain(text)
    import yaml

    from kgctl.kube.codec.yaml_loader import TextLoader

    try:
        return next(iter(yaml.load_all(text, Loader=TextLoader)), None)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        raise KubeconfigError(f"{shown} is not a kubeconfig: it is not valid YAML{line}") from error


def named_user(content: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Return the settings of the user ``name`` in the content of a file, or None."""
    entries = content.get("users")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and str(entry.get("name")) == name:
            user = entry.get("user")
            return user if isinstance(user, dict) else None
    return None


def keep_provider_tokens(access: Access, changes: Mapping[str, str]) -> None:
    """Write tokens into the ``auth-provider`` of the user of ``access``, in the user's file.

    The file is replaced as a whole, readable only by its owner. Its other content stays as decoded,
    as in kubectl.

    Raises:
        CredentialsError: it cannot be written.
    """
    from kgctl.files.atomic import OutputFileError, write_private

    path = _holder(access)
    if path is None:
        return
    try:
        write_private(path, _changed(path, access.user_name, changes).encode())
    except (KubeconfigError, OutputFileError) as error:
        raise CredentialsError(
            f"cannot store the new tokens of {access.origin}: {error}; make the file writable, and "
            "log in again"
        ) from error


def _holder(access: Access) -> Path | None:
    """Return the first file that has the user: kubectl uses this one."""
    for name in access.files:
        if named_user(read_kubeconfig(name), access.user_name) is not None:
            return Path(name)
    return None


def _changed(path: Path, user_name: str, changes: Mapping[str, str]) -> str:
    from kgctl.kube.codec.structured import to_yaml

    content = read_kubeconfig(str(path))
    user = named_user(content, user_name)
    assert user is not None  # it was found in this file
    provider = user["auth-provider"]
    provider["config"] = {**(provider.get("config") or {}), **changes}
    return to_yaml(content)
