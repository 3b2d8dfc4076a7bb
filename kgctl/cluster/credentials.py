"""What proves to an API server who is asking: a token, or a client certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.cluster.errors import CredentialsError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.cluster.kubeconfig import Access


class Credentials(NamedTuple):
    """A bearer token, a client certificate with its key (PEM), both, or neither."""

    token: str | None = None
    certificate: bytes | None = None
    key: bytes | None = None

    def __repr__(self) -> str:
        """Say what there is, and never what it is: this may end up in a log."""
        kinds = [kind for kind, value in zip(self._fields, self, strict=True) if value]
        return f"Credentials({', '.join(kinds) or 'none'})"


def resolve_credentials(access: Access, interactive: bool = True) -> Credentials:
    """Read the user's credentials, running its exec plugin when it has one.

    A token in the kubeconfig goes before a plugin, as in kubectl. With ``interactive`` false the
    plugin has no terminal, so that it cannot ask anything.

    Raises:
        CredentialsError: a file cannot be read, or the plugin failed.
    """
    user = access.user
    token = _token(user)
    certificate = pem(user, "client-certificate")
    key = pem(user, "client-key")
    if (certificate is None) != (key is None):
        lacking = "client-key" if key is None else "client-certificate"
        raise CredentialsError(f"the user of {access.origin} has no {lacking} to go with the other")
    if user.get("exec") and not token:
        from kgctl.cluster.execplugin import run_plugin

        token, plugin_certificate, plugin_key = run_plugin(access, interactive)
        if plugin_certificate:
            certificate, key = plugin_certificate, plugin_key
    return Credentials(token, certificate, key)


def renewable(access: Access) -> bool:
    """Tell whether asking again may give other credentials: a plugin, or a file that rotates."""
    return bool(access.user.get("exec") or access.user.get("tokenFile"))


def pem(settings: Mapping[str, Any], key: str) -> bytes | None:
    """Return what ``key-data`` holds in base64, else the content of the file ``key`` names.

    Raises:
        CredentialsError: it is no base64, or the file cannot be read.
    """
    data = settings.get(f"{key}-data")
    if data:
        from binascii import a2b_base64

        try:
            return a2b_base64(str(data))
        except ValueError as error:
            raise CredentialsError(f"{key}-data of the kubeconfig is no valid base64") from error
    return _read(str(settings[key]), key) if settings.get(key) else None


def _token(user: Mapping[str, Any]) -> str | None:
    """Return the bearer token. A file goes before the literal token, because files are rotated."""
    if user.get("tokenFile"):
        try:
            token = _read(str(user["tokenFile"]), "tokenFile").decode().strip()
        except (CredentialsError, UnicodeDecodeError):
            if not user.get("token"):
                raise
        else:
            return clean_token(token, "tokenFile") if token else None
    return clean_token(str(user["token"]), "token") if user.get("token") else None


def clean_token(token: str, source: str) -> str:
    """Return ``token`` if it can stand in a header: no line break, no other control character.

    Raises:
        CredentialsError: it cannot; the message does not repeat it.
    """
    if not token.isascii() or not token.isprintable():
        raise CredentialsError(f"the {source} of the kubeconfig holds characters no token has")
    return token


def _read(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CredentialsError(
            f"cannot read the {what} {printable(path)}: {error.strerror}"
        ) from error
