"""This process inside a network namespace, where code of kgctl runs without the command line."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.network.namespace import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.network.namespace import Namespace

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)

WIREGUARD, TUNNEL, PRIVATE = "kilo0", "tunl0", "eth0"


@contextlib.contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """Put this thread, its sockets and its programs into a namespace.

    Threads that it starts meanwhile are there as well.
    """
    with (
        Path("/proc/thread-self/ns/net").open("rb") as outside,
        Path("/run/netns", namespace.name).open("rb") as within,
    ):
        _enter(within.fileno())
        try:
            yield
        finally:
            _enter(outside.fileno())


def _enter(descriptor: int) -> None:
    # os.setns comes with Python 3.12
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def node() -> Iterator[Namespace]:
    """A node with its three interfaces, in which this thread is; veth stands for all of them."""
    with Lab() as lab:
        made = lab.add("node")
        for name in (WIREGUARD, TUNNEL, PRIVATE):
            made.ip("link", "add", "name", name, "type", "veth", "peer", "name", f"{name}-far")
            made.ip("link", "set", f"{name}-far", "up")
            made.ip("link", "set", name, "up")
        with inside(made):
            yield made
