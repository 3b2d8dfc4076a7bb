"""A new network in a folder: its address pools, and the files that make the folder one."""

from __future__ import annotations

import secrets
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from kgctl.errors import AlreadyExistsError, ClusterError
from kgctl.files.atomic import create_public, make_directory, write_public
from kgctl.mesh.allocation import learned_pools
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.text import printable
from kgctl.state.manifest_files import manifest_files
from kgctl.state.manifests import Manifests
from kgctl.state.network_file import new_network_file
from kgctl.state.network_folder import FILE, folder_around
from kgctl.state.objects import state_of

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.mesh.network import Network
    from kgctl.mesh.state import State

_SECOND = [*range(64, 88), *range(90, 96), *range(112, 128)]
"""Second numbers of 10.0.0.0/8 that are rare as defaults: homes and VPNs begin low, Podman has 88
and 89, services of Kubernetes 96 to 111, and networks of clouds begin at 128."""

_IGNORED = (
    "/keys/",
    "/out/",
    "*.key",
    "*.psk",
    "*.conf",
    "*.netdev",
    "*.network",
    "*.nmconnection",
)
_WHY = "# private keys, and the files for machines, which hold them"
_ULA = 0xFD << 120  # RFC 4193, section 3.1


class NestedNetworkError(ClusterError):
    """A folder is within that of another network, which would read its machines too."""


def random_pools() -> tuple[Cidr, ...]:
    """Return a private IPv4 /24, and an IPv6 /64 by RFC 4193, that hardly anybody else has."""
    four = parse_cidr(f"10.{secrets.choice(_SECOND)}.{1 + secrets.randbelow(254)}.0/24")
    assert four is not None
    return four, Cidr(IPv6Address(_ULA | secrets.randbits(40) << 80), 64)


def pools_for(folder: Path) -> tuple[Cidr, ...]:
    """Return pools for a new network: those of the Peers that the folder has, else random ones.

    Raises:
        ClusterError: the folder has Nodes, or a manifest that cannot be read.
    """
    state = _present(folder)
    if state is None or not state.peers:
        return random_pools()
    if state.nodes:
        raise ClusterError(
            f"{printable(str(folder))} has Nodes, which a network in a folder cannot have; move "
            f"the Peers of {printable(state.nodes[0].name)} and the others to a folder of their own"
        )
    found = learned_pools(state)[:-1]  # the last one is Kilo's default
    own = [next((pool for pool in found if pool.version == version), None) for version in (4, 6)]
    return tuple(pool for pool in own if pool is not None) or random_pools()


def _present(folder: Path) -> State | None:
    if not folder.is_dir():
        return None
    try:
        manifest_files(str(folder))
    except ClusterError:  # there are none
        return None
    return state_of(Manifests([str(folder)]).read())


def check_new(folder: Path) -> None:
    """Check that a folder can become a network.

    Raises:
        AlreadyExistsError: it is one.
        NestedNetworkError: it is within one.
    """
    path = folder / FILE
    if path.is_symlink() or path.exists():
        raise AlreadyExistsError(
            f"{printable(str(path))} exists, and is not overwritten", 409, "AlreadyExists"
        )
    around = folder_around(folder)
    if around is not None:
        raise NestedNetworkError(
            f"{printable(str(folder))} is within the network in {printable(str(around))}, which "
            "would read its machines too; choose a folder outside"
        )


def make_network(folder: Path, network: Network) -> None:
    """Make a folder the network: write ``network.yaml``, and keep secrets out of git.

    An existing ``.gitignore`` gets the lines that it lacks.

    Raises:
        AlreadyExistsError: it is a network already.
        ClusterError: a file cannot be written.
    """
    check_new(folder)
    make_directory(folder)
    _ignore(folder / ".gitignore")
    path = folder / FILE
    try:
        create_public(path, new_network_file(network).encode())
    except FileExistsError:
        check_new(folder)
        raise
    except OSError as error:
        raise ClusterError(f"cannot write {printable(str(path))}: {error.strerror}") from None


def _ignore(path: Path) -> None:
    try:
        present = path.read_bytes()
    except FileNotFoundError:
        present = b""
    except OSError as error:
        raise ClusterError(f"cannot read {printable(str(path))}: {error.strerror}") from None
    lines = present.decode("utf-8", "replace").splitlines()
    missing = [line for line in _IGNORED if line not in lines]
    if not missing:
        return
    start = "" if not present or present.endswith(b"\n") else "\n"
    added = "".join(f"{line}\n" for line in (_WHY, *missing))
    write_public(path, present + f"{start}{added}".encode())
