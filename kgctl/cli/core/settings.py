"""The settings file: settings of ``kgctl check``, and limits on the claims of nodes and peers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.cli.core.arguments import UsageError, split_values
from kgctl.mesh.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILES = ("kgctl.toml", ".kgctl.toml", "pyproject.toml")
_TABLES = ("check", "limits")
_KEYS = {"select": list, "ignore": list, "fail-on": str, "service-cidrs": list, "offline": bool}
_SEVERITIES = ("error", "warning", "info")
_KINDS = {
    list: "a list of texts",
    str: f"one of {', '.join(_SEVERITIES)}",
    bool: "true or false",
}


class CheckSettings(NamedTuple):
    """Settings that a file or the command line can hold; None for one that was not given."""

    select: list[str] | None = None
    ignore: list[str] | None = None
    fail_on: str | None = None
    service_cidrs: list[str] | None = None
    offline: bool | None = None

    def over(self, lower: CheckSettings) -> CheckSettings:
        """Merge these settings over ``lower``; the rules that either ignores are ignored."""
        return CheckSettings(
            select=lower.select if self.select is None else self.select,
            ignore=[*(lower.ignore or ()), *(self.ignore or ())] or None,
            fail_on=self.fail_on or lower.fail_on,
            service_cidrs=(
                lower.service_cidrs if self.service_cidrs is None else self.service_cidrs
            ),
            offline=self.offline or lower.offline,
        )

    @staticmethod
    def codes(values: list[str] | None) -> list[str]:
        """Return the codes of a repeatable, comma-separated option."""
        return split_values(values)


class SettingsFile(NamedTuple):
    """A settings file: its name, and its tables, unchecked."""

    name: str = ""
    tables: Mapping[str, dict[str, Any]] = {}

    def check(self) -> CheckSettings:
        """Return the settings of ``check``, from the table ``[check]``.

        Raises:
            UsageError: the table has an unknown key or value.
        """
        table = self.table("check", _KEYS)
        return CheckSettings(*(table.get(key) for key in _KEYS))

    def table(self, name: str, keys: dict[str, type]) -> dict[str, Any]:
        """Return a table; ``keys`` are the keys that it may have, and the types of their values.

        Raises:
            UsageError: the table has an unknown key or value.
        """
        return _checked(self.name, name, keys, self.tables.get(name) or {})


def settings_file(name: str | None = None) -> SettingsFile:
    """Read the settings file ``name``, else the first in the working directory that has settings.

    ``kgctl.toml`` and ``.kgctl.toml`` have a table ``[check]``, ``pyproject.toml`` has
    ``[tool.kgctl.check]``.

    Raises:
        UsageError: the file cannot be read, is not TOML, or has an unknown table; or ``name`` is
            None, and another user put the file here.
    """
    for candidate in _FILES if name is None else (name,):
        if name is not None or Path(candidate).is_file():
            tables = _tables(Path(candidate))
            if name is None and tables is not None:
                _refuse_planted(Path(candidate))
            if name is not None or tables is not None:
                return SettingsFile(candidate, tables or {})
    return SettingsFile()


def _refuse_planted(path: Path) -> None:
    """Refuse a file that another user put into a shared directory like /tmp.

    It could consent to any claim.
    """
    from kgctl.files.walk import check_found

    try:
        check_found(path)
    except OSError as error:
        raise UsageError(
            f"{printable(str(path))} here is not read: {error.strerror}; run kgctl in another "
            "directory"
        ) from None


def _tables(path: Path) -> dict[str, dict[str, Any]] | None:
    """Return the tables of a file; None if it has no tables of kgctl."""
    import tomllib

    shown = printable(str(path))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {shown}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # ValueError: not TOML, or not UTF-8
        raise UsageError(f"{shown} is not TOML: {printable(str(error))}") from None
    within = ["tool", "kgctl"] if path.name == "pyproject.toml" else []
    found: Any = content
    for key in within:
        found = found.get(key) if isinstance(found, dict) else None
    if found is None:
        return None
    if not isinstance(found, dict):
        raise UsageError(f"{shown}: [{'.'.join(within)}] is not a table")
    _refuse_unknown(shown, ".".join(within), found, list(_TABLES))
    for name, table in found.items():
        if not isinstance(table, dict):
            raise UsageError(f"{shown}: [{'.'.join([*within, name])}] is not a table")
    return found if found or not within else None


def _checked(file: str, name: str, keys: dict[str, type], table: dict[str, Any]) -> dict[str, Any]:
    shown = printable(file)
    _refuse_unknown(shown, name, table, list(keys))
    for key, value in table.items():
        wanted = keys[key]
        if not _fits(value, wanted):
            raise UsageError(f"{shown}: {name}.{key} is not {_KINDS[wanted]}")
    return table


def _fits(value: object, wanted: type) -> bool:
    if wanted is list:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, bool) if wanted is bool else value in _SEVERITIES


def _refuse_unknown(shown: str, where: str, table: dict[str, Any], known: list[str]) -> None:
    for key in table:
        if key not in known:
            near = nearest(key, known)
            hint = f'; did you mean "{near}"?' if near else f"; known: {', '.join(known)}"
            place = f" in [{where}]" if where else ""
            raise UsageError(f'{shown}: unknown key "{printable(key)}"{place}{hint}')
