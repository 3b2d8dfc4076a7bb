"""The root of every error that kgctl raises on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class KgctlError(Exception):
    """What failed, on what, and what to do next, in one line.

    Where a setting is at fault, or would help, ``field`` names it as the Python API does, ``value``
    is what it has, and ``alternatives`` are what it may have. The message names no option of a
    command line: ``kgctl.cli.hints`` adds the one that sets the field. The command line prints the
    result on stderr and exits with ``exit_code``.

    An error that quotes another one is raised from it, so that the other's hint is found.
    """

    exit_code: int = 1

    def __init__(
        self,
        *args: object,
        field: str = "",
        value: object = None,
        alternatives: Sequence[str] = (),
    ) -> None:
        super().__init__(*args)
        self.field = field
        self.value = value
        self.alternatives = tuple(alternatives)


class InputError(KgctlError):
    """A value that was given is invalid, or does not go together with another one."""


class MeshError(KgctlError):
    """The nodes and peers that were read do not make a network."""
