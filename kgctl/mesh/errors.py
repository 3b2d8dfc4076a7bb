"""The root of every error that kgctl raises on purpose."""


class KgctlError(Exception):
    """What failed, on what, and what to do next, in one line.

    The command line prints it as it is on stderr and exits with ``exit_code``.
    """

    exit_code: int = 1


class InputError(KgctlError):
    """A value that was given is invalid, or does not go together with another one."""


class MeshError(KgctlError):
    """The nodes and peers that were read do not make a network."""
