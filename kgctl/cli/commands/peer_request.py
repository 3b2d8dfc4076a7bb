"""``kgctl peer add --request``: what a machine says of itself, as options of a new peer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import note

if TYPE_CHECKING:
    from kgctl.cli.commands.peer_add import NewPeer
    from kgctl.mesh.join_request import JoinRequest

_MOST_INPUT = 4096  # characters on stdin; a request has at most 300


def named(name: str | None) -> str:
    """Return NAME of a peer that no request names.

    Raises:
        UsageError: it is missing.
    """
    if name is None:
        raise UsageError("give the NAME of the peer, or --request LINE, which has one")
    return name


def read_request(line: str) -> JoinRequest:
    """Return the request in ``line``, or on stdin for ``-``.

    Raises:
        JoinRequestError: it is no request, or damaged.
    """
    from kgctl.mesh.join_request import parse_join_request

    if line == "-":
        content = b"" if sys.stdin is None else sys.stdin.buffer.read(_MOST_INPUT)
        line = content.decode("utf-8", "replace")
    return parse_join_request(line)


def requested(new: NewPeer, request: JoinRequest, *, accept_lan: bool) -> NewPeer:
    """Return the new peer as requested; the options that were given go before the request.

    The endpoint and the networks are named on stderr, since they come from somebody else.

    Raises:
        UsageError: the request has networks, and nobody consented; or a private key is to be made.
    """
    if new.private_key_file is not None:
        raise UsageError(
            "--private-key-file is for a new key; the private key of a --request is on its machine"
        )
    networks = ",".join(map(str, request.lan))
    if request.lan and new.lan is None and not accept_lan:
        raise UsageError(
            f"the request asks for the networks {networks}, which all machines would send there: "
            "accept them with --accept-lan, or name those to take with --lan (--lan '' for none)"
        )
    if request.endpoint is not None and new.endpoint is None:
        note(
            f"the request names the endpoint {request.endpoint}: others will send their packets "
            "there; --endpoint goes before it"
        )
        new = new._replace(endpoint=str(request.endpoint))
    if request.lan and new.lan is None:
        note(f"the request names the networks {networks}: others will reach them through it")
        new = new._replace(lan=[networks])
    if new.public_key is None:
        new = new._replace(public_key=str(request.public_key))
    return new
