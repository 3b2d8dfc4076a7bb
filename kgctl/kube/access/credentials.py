"""Credentials of a kubeconfig's user: a token, or a client certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import CredentialsError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.access.kubeconfig import Access


class Credentials(NamedTuple):
    """A bearer token, a client certificate with its key (PEM), both, or neither."""

    token: str | None = None
    certificate: bytes | None = None
    key: bytes | None = None

    def __repr__(self) -> str:
        """Return the kinds of credentials without their values: this text may end up in a log."""
        kinds = [kind for kind, value in zip(self._fields, self, strict=True) if value]
        return f"Credentials({', '.join(kinds) or 'none'})"


_TOKEN = frozenset(  # of a header's name: RFC 9110, 5.6.2
    "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

QUIET_LIMIT = 30.0
"""Seconds that an exec plugin gets when nobody can answer its prompts."""


def resolve_credentials(
    access: Access, interactive: bool = True, limit: float = QUIET_LIMIT, *, renew: bool = False
) -> Credentials:
    """Read the user's credentials, and run its exec plugin if it has one.

    A token in the kubeconfig goes before a plugin, as in kubectl. If not ``interactive``, the
    plugin has no terminal to prompt on, and is killed after ``limit`` seconds. With ``renew`` it
    runs even if its last answer still holds.

    Raises:
        CredentialsError: a file cannot be read, or the plugin failed.
    """
    user = access.user
    token = _token(user, access.origin)
    certificate = pem(user, "client-certificate", access.origin)
    key = pem(user, "client-key", access.origin)
    if (certificate is None) != (key is None):
        lacking = "client-key" if key is None else "client-certificate"
        raise CredentialsError(
            f"the user of {access.origin} has no {lacking}: give client-certificate and client-key"
        )
    if user.get("exec") and not token:
        from kgctl.kube.access.exec_plugin import run_plugin

        token, plugin_certificate, plugin_key = run_plugin(access, interactive, limit, renew=renew)
        if plugin_certificate:
            certificate, key = plugin_certificate, plugin_key
    return Credentials(token, certificate, key)


def renewable(access: Access) -> bool:
    """Return whether the credentials may change: those of a plugin, or of a rotated file."""
    return bool(access.user.get("exec") or access.user.get("tokenFile"))


def pem(settings: Mapping[str, Any], key: str, origin: str) -> bytes | None:
    """Return the base64 content of the setting ``{key}-data``, else that of the file ``key``.

    ``origin`` names the source of the settings in errors.

    Raises:
        CredentialsError: the base64 is invalid, or the file cannot be read.
    """
    data = settings.get(f"{key}-data")
    if data:
        from binascii import a2b_base64

        try:
            return a2b_base64("".join(str(data).split()), strict_mode=True)
        except ValueError as error:
            raise CredentialsError(
                f"{key}-data of {origin} is not valid base64: copy it whole, or name a file with "
                f"{key}"
            ) from error
    return _read(str(settings[key]), key, origin) if settings.get(key) else None


def _token(user: Mapping[str, Any], origin: str) -> str | None:
    """Return the bearer token; a file goes before a literal token, since files are rotated."""
    if user.get("tokenFile"):
        try:
            token = _token_in(str(user["tokenFile"]), origin)
        except CredentialsError:
            if not user.get("token"):
                raise
        else:
            return token
    return clean_token(str(user["token"]), f"token of {origin}") if user.get("token") else None


def _token_in(path: str, origin: str) -> str:
    what = f"tokenFile {printable(path)} of {origin}"
    try:
        token = _read(path, "tokenFile", origin).decode().strip()
    except UnicodeDecodeError as error:
        raise CredentialsError(f"the {what} has characters that are invalid in a token") from error
    if not token:
        raise CredentialsError(f"the {what} is empty: write a token into it")
    return clean_token(token, what)


def impersonation(access: Access) -> list[tuple[str, str]]:
    """Return the headers with which the user acts as another one, encoded as by client-go.

    They are ``as``, ``as-uid``, ``as-groups`` and ``as-user-extra`` of the kubeconfig's user.

    Raises:
        CredentialsError: a setting has another type, or characters that are invalid in a header.
    """
    user = access.user
    what = f"of {access.origin}"
    headers = [
        (header, _header(user[key], f"{key} {what}"))
        for key, header in (("as", "Impersonate-User"), ("as-uid", "Impersonate-Uid"))
        if user.get(key)
    ]
    groups_name = f"as-groups {what}"
    groups = _several(user.get("as-groups"), groups_name)
    headers += [("Impersonate-Group", _header(group, groups_name)) for group in groups]
    extra = user.get("as-user-extra") or {}
    extra_name = f"as-user-extra {what}"
    if not isinstance(extra, dict):
        raise CredentialsError(f"the {extra_name} must be a mapping of lists")
    for name, values in extra.items():
        key = f"Impersonate-Extra-{_escaped(str(name))}"
        headers += [(key, _header(one, extra_name)) for one in _several(values, extra_name)]
    return headers


def _several(values: Any, what: str) -> list[Any]:
    if values is not None and not isinstance(values, list):
        raise CredentialsError(f"the {what} must be a list")
    return values or []


def _header(value: Any, what: str) -> str:
    """Return a value as it stands in a header: its UTF-8 bytes, each as one character."""
    text = str(value)
    if isinstance(value, (dict, list)) or any(char < " " or char == "\x7f" for char in text):
        raise CredentialsError(f"the {what} has characters that are invalid in a header")
    return text.encode().decode("latin-1")


def _escaped(name: str) -> str:
    """Encode what a header's name cannot have, and %, as client-go's ``headerKeyEscape`` does."""
    return "".join(
        char
        if char in _TOKEN and char != "%"
        else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in name
    )


def clean_token(token: str, source: str) -> str:
    """Return ``token`` if it is valid in a header: no line break, no other control character.

    Raises:
        CredentialsError: it is not; the message does not contain it.
    """
    if not token.isascii() or not token.isprintable():
        raise CredentialsError(f"the {source} has characters that are invalid in a token")
    return token


def _read(path: str, what: str, origin: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file can have that name"
        raise CredentialsError(
            f"cannot read the {what} {printable(path)} of {origin}: {reason}"
        ) from error
