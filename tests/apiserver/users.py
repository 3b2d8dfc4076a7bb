"""Users of the API server, their rights, and their kubeconfigs."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any

import yaml

from tests.apiserver.control_plane import ISSUER
from tests.apiserver.credentials import Authority, KeyPair, TokenSigner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKEN_USERS = {
    "admin": "system:masters",
    "reader": "kgctl-readers",
    "nodes-only": "",
    "nobody": "",
}
"""The users with a token, and the group of each: the server learns tokens at its start only.

``reader`` is in the group that docs/rbac.yaml binds, ``nodes-only`` may list nodes, ``nobody``
may do nothing.
"""


class Users:
    """Credentials of every kind, in files under one directory: those that the server is shown
    at its start, and kubeconfigs.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._authority = Authority()
        self._signer = TokenSigner(ISSUER)
        self._tokens = {name: secrets.token_hex(16) for name in TOKEN_USERS}
        self.ca = state / "ca.pem"

    @property
    def admin_token(self) -> str:
        """The token of the user who may do everything."""
        return self._tokens["admin"]

    def write_server_files(self) -> None:
        """Write the files that the server is told of: its certificate, and whom it trusts."""
        server = self._authority.for_server()
        tokens = "".join(
            f'{self._tokens[name]},{name},{name},"{group}"\n' for name, group in TOKEN_USERS.items()
        )
        self.ca.write_bytes(self._authority.certificate)
        for name, content in (
            ("server.pem", server.certificate),
            ("server.key", server.key),
            ("service-accounts.key", self._signer.key),
            ("tokens.csv", tokens.encode()),
        ):
            (self._state / name).write_bytes(content)

    def with_token(self, name: str) -> dict[str, Any]:
        """The credentials of one of ``TOKEN_USERS``, as a kubeconfig holds them."""
        return {"token": self._tokens[name]}

    def with_certificate(self, name: str, *, expired: bool = False) -> dict[str, Any]:
        """A certificate that says who its holder is; the server need not have met them."""
        return _certificate(self._authority.for_user(name, expired=expired))

    def with_expired_token(self) -> dict[str, Any]:
        """A service account's token, rightly signed, that ran out an hour ago."""
        return {"token": self._signer.expired()}

    def write_kubeconfig(self, name: str, user: Mapping[str, Any], url: str, ca: Path) -> Path:
        """A kubeconfig with one cluster, one user and one context, all called ``name``."""
        cluster = {"server": url, "certificate-authority": str(ca)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": dict(user)}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        path = self._state / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path


def _certificate(pair: KeyPair) -> dict[str, Any]:
    return {
        "client-certificate-data": base64.b64encode(pair.certificate).decode(),
        "client-key-data": base64.b64encode(pair.key).decode(),
    }
