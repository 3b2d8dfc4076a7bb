"""The table of formats for a machine's configuration, and QR codes for WireGuard's phone apps.

``kgctl showconf`` derives its options, file names and checks from the table. A writer imports what
it needs when it is called.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError

if TYPE_CHECKING:
    from collections.abc import Callable

    import segno

    from kgctl.wireguard.conf import Configuration


class Machine(NamedTuple):
    """The input of a writer besides the configuration.

    ``name`` is the machine's name, which file names start with, and ``interface`` the name of its
    interface. ``identity`` is unique to the machine. ``ending`` is the requested extension of a
    picture, without the dot.
    """

    name: str
    interface: str
    identity: str
    ending: str = ""


class MachineFormat(NamedTuple):
    """A format of the configuration of a machine.

    ``files`` returns the files of a machine by name, and ``text`` the text to print instead.
    ``interface`` and ``table``: it contains the name of the interface, and a routing table.
    ``single``: it is one text file, which can be kept up to date. ``pictures`` are the extensions
    of its pictures. ``reader`` is the program that reads it, if that matters. ``needs_key``: it is
    of no use without a private key.
    """

    name: str
    files: Callable[[Configuration, Machine], dict[str, bytes]]
    text: Callable[[Configuration, Machine], str]
    interface: bool
    table: bool
    single: bool
    pictures: tuple[str, ...] = ()
    reader: str = ""
    needs_key: bool = False


def _plain(configuration: Configuration, _machine: Machine) -> str:
    return str(configuration)


def _plain_files(configuration: Configuration, machine: Machine) -> dict[str, bytes]:
    return {f"{machine.name}.conf": str(configuration).encode()}


def _code(configuration: Configuration, _machine: Machine) -> str:
    return to_terminal(_of_phone(configuration))


def _code_files(configuration: Configuration, machine: Machine) -> dict[str, bytes]:
    kind = machine.ending or "svg"
    picture = to_picture(_of_phone(configuration), kind)
    return {f"{machine.name}.{kind}": picture}


def _of_phone(configuration: Configuration) -> str:
    """Return the text that phones take: without comments, and without commands to run."""
    interface = configuration.interface
    if interface is not None:
        configuration = configuration._replace(interface=interface._replace(forwarding=None))
    return without_comments(str(configuration))


def _networkd(configuration: Configuration, machine: Machine) -> str:
    from kgctl.wireguard.networkd import networkd_files

    found = networkd_files(configuration, machine.interface)
    return "\n".join(f"# /etc/systemd/network/{file}\n{text}" for file, text in found.items())


def _networkd_files(configuration: Configuration, machine: Machine) -> dict[str, bytes]:
    from kgctl.wireguard.networkd import networkd_files

    found = networkd_files(configuration, machine.interface)
    return {f"{machine.name}-{file}": text.encode() for file, text in found.items()}


def _nmconnection(configuration: Configuration, machine: Machine) -> str:
    from kgctl.wireguard.nmconnection import nmconnection_file

    return nmconnection_file(configuration, machine.interface, machine.identity)


def _nmconnection_files(configuration: Configuration, machine: Machine) -> dict[str, bytes]:
    return {f"{machine.name}.nmconnection": _nmconnection(configuration, machine).encode()}


WIREGUARD = MachineFormat(
    "wireguard", _plain_files, _plain, interface=False, table=False, single=True
)
"""The format of wg(8) and of the reference, and the default."""

MACHINE_FORMATS = (
    WIREGUARD,
    MachineFormat("wg-quick", _plain_files, _plain, interface=False, table=True, single=True),
    MachineFormat(
        "qr", _code_files, _code, interface=False, table=False, single=False,
        pictures=("png", "svg"), needs_key=True,
    ),
    MachineFormat(
        "networkd", _networkd_files, _networkd, interface=True, table=True, single=False,
        reader="systemd-networkd",
    ),
    MachineFormat(
        "nmconnection", _nmconnection_files, _nmconnection, interface=True, table=True, single=True
    ),
)  # fmt: skip
"""All formats for machines; all but the first are whole files, which options configure."""

WHOLE_FILES = tuple(one for one in MACHINE_FORMATS if one is not WIREGUARD)
"""The formats of whole files for machines outside the cluster."""


_MOST = 2953
"""Capacity of the largest QR code in bytes: ISO/IEC 18004, version 40, error correction L."""


class TooLargeError(KgctlError):
    """The configuration does not fit into a QR code."""


def to_terminal(text: str) -> str:
    """Return the QR code of ``text`` as lines of half blocks.

    Raises:
        TooLargeError: the text has more bytes than a QR code holds.
    """
    out = io.StringIO()
    _qr_code(text).terminal(out=out, compact=True)
    return out.getvalue()


def to_picture(text: str, kind: str) -> bytes:
    """Return the QR code of ``text`` as a PNG or SVG file.

    Raises:
        TooLargeError: the text has more bytes than a QR code holds.
    """
    out = io.BytesIO()
    _qr_code(text).save(out, kind=kind, scale=4)
    return out.getvalue()


def without_comments(text: str) -> str:
    """Return a configuration without comments, which phones do not show."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("#"))


def _qr_code(text: str) -> segno.QRCode:
    import segno

    try:
        return segno.make_qr(text, error="L", boost_error=False, encoding="utf-8")
    except segno.DataOverflowError:
        size = len(text.encode())
        raise TooLargeError(
            f"the configuration has {size:,} bytes and a QR code holds {_MOST:,}; leave some "
            "segments and peers out",
            field="qr_code",
            value=size,
        ) from None
