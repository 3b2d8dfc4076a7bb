"""Why this machine could not be set up."""

from __future__ import annotations

from kgctl.mesh.errors import KgctlError


class HostError(KgctlError):
    """A link, an address, a route or a device of this machine could not be read or set."""


class PrivilegeError(HostError):
    """A capability is missing."""


class BusyError(HostError):
    """Another kgctl has the interface."""


class NoWireGuardError(HostError):
    """Neither the kernel nor a program of this machine can do WireGuard."""


class GoneError(HostError):
    """The interface, or the program behind it, is not there any more."""


class UnresponsiveError(HostError):
    """The program behind an interface does not answer."""
