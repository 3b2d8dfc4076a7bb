"""The table of the command line: it has no incomplete entries."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer

import kgctl
import kgctl.cli.commands
from kgctl.cli.core.ahead import Target
from kgctl.cli.core.line import SWITCHES, Shared
from kgctl.cli.core.table import COMMANDS, HELP, OPTIONS, VERSION, Kind, Option
from tests.docs.console import ROOT
from tests.support.typer_commands import commands, options, own_options
from tests.test_imports import new_modules

TYPES: dict[Kind, Any] = {
    "text": str | None,
    "texts": list[str] | None,
    "number": int | None,
    "switch": bool | None,
}
TYPERS = dict(commands())
WITHOUT_SHARED = {"help"}
"""The commands without the shared options: their arguments are a command line of their own."""

ROW = re.compile(r"^\| (`-[^|]*) \|", re.MULTILINE)
SHOWN = re.compile(r"`(?P<name>--?[a-z][-a-z]*)(?P<value> [^`]+)?`")


def test_shared_has_a_field_of_the_right_type_for_each_option() -> None:
    hints = get_type_hints(Shared)
    del hints["context"]  # follows from contexts
    del hints["around"]  # follows from where kgctl runs
    assert list(hints.items()) == [(one.field, TYPES[one.kind]) for one in OPTIONS]
    assert set(Shared()) == {None}


def test_a_target_has_the_options_that_name_a_cluster() -> None:
    words = [option.name for option in OPTIONS if option.head_start == "names"]
    names = {word.removeprefix("--").replace("-", "_") for word in words}
    assert set(Target._fields) == names
    assert names <= set(Shared._fields)


def test_names_are_unique() -> None:
    names = [name for one in OPTIONS for name in (one.name, one.off, one.short) if name]
    names += [*VERSION, *HELP]
    assert len(names) == len(set(names))


def declared(option: Option) -> tuple[Any, ...]:
    names = [name for name in (option.name, option.short) if name]
    switch = option.kind == "switch"
    return (
        names,
        [option.off] if switch else [],
        switch,
        option.kind == "texts",
        option.help,
    )


@pytest.mark.parametrize("path", [path for path in TYPERS if path not in WITHOUT_SHARED])
def test_typer_has_each_shared_option_as_the_table_has_it(path: str) -> None:
    mine = [one.name for one in own_options(TYPERS[path])]
    redeclared = {name for one in own_options(TYPERS[path]) for name in one.opts}
    there = {
        one.name: (list(one.opts), list(one.secondary_opts), one.is_flag, one.multiple, one.help)
        for one in options(TYPERS[path])
        if one.name not in mine and one.name != "version"
    }
    wanted = [one for one in OPTIONS if not {one.name, one.short} & redeclared]
    assert there == {option.field: declared(option) for option in wanted}
    (version,) = (one for one in options(TYPERS[path]) if one.name == "version")
    assert tuple(version.opts) == VERSION


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_head_start_knows_which_options_take_a_value(name: str) -> None:
    """For commands that read: with one that it took for a switch, it would read on in its value."""
    own = [
        one
        for path, command in TYPERS.items()
        if path.split(" ")[0] == name
        for one in own_options(command)
    ]
    assert all(one.is_flag or one.nargs == 1 for one in own)
    valued = {letters for one in own if not one.is_flag for letters in one.opts}
    switches = {letters for one in own if one.is_flag for letters in one.opts}
    command = COMMANDS[name]
    if command.reads:
        assert set(command.valued) == valued
        named = {letters for one in OPTIONS for letters in (one.name, one.off, one.short)}
        assert not (valued | switches) & named
    else:
        assert not command.valued
    assert len(command.valued) == len(set(command.valued))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_switch_that_takes_a_truth_value_can_be_switched_off(name: str) -> None:
    for switch in COMMANDS[name].switches:
        found = [
            one.secondary_opts
            for path, command in TYPERS.items()
            if path.split(" ")[0] == name
            for one in own_options(command)
            if switch in one.opts
        ]
        assert [SWITCHES[switch]] in found


def test_a_command_is_an_app_of_a_module_and_a_line_of_the_table() -> None:
    apps = {
        (module, name)
        for module in (
            f"kgctl.cli.commands.{one.name}"
            for one in pkgutil.iter_modules(kgctl.cli.commands.__path__)
        )
        for name, value in vars(import_module(module)).items()
        if isinstance(value, typer.Typer)
    }
    assert apps == {command.place for command in COMMANDS.values()}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_group_consists_of_commands(name: str) -> None:
    assert COMMANDS[name].group == any(path.startswith(f"{name} ") for path in TYPERS)


@pytest.mark.parametrize("option", VERSION)
def test_either_way_to_ask_for_the_version_costs_no_import(option: str) -> None:
    new = new_modules("from kgctl.__main__ import main; main()", option)
    assert {name for name in new if name.startswith("kgctl")} == {"kgctl", "kgctl.__main__"}


@pytest.mark.parametrize(
    ("page", "about"),
    [
        ("docs/scripting.md", r"For ([^.]*?), 1 is an\s+answer"),
        ("README.md", r"(?m)^\| 2 \| (.*) \|$"),
    ],
)
def test_pages_name_the_commands_whose_exit_code_is_an_answer(page: str, about: str) -> None:
    sentence = re.search(about, (ROOT / page).read_text(encoding="utf-8"))
    assert sentence is not None
    named = re.findall(r"`(\w+)`", sentence[1])
    assert sorted(named) == sorted(one.name for one in COMMANDS.values() if one.verdict)


@pytest.mark.parametrize("name", [name for name in COMMANDS if (ROOT / f"docs/{name}.md").exists()])
def test_the_tables_of_a_commands_page_name_options_that_it_has(name: str) -> None:
    has = {
        letters: one.is_flag
        for path, command in TYPERS.items()
        if path.split(" ")[0] == name
        for one in options(command)
        for letters in (*one.opts, *one.secondary_opts)
    }
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for row in ROW.finditer(page):
        for shown in SHOWN.finditer(row[1]):
            assert shown["name"] in has, row[0]
            assert not (shown["value"] and has[shown["name"]]), row[0]


def test_only_one_module_uses_private_parts_of_typer() -> None:
    private = re.compile(r"typer\._|typer import _|NoArgsIsHelp")
    package = Path(kgctl.__path__[0])
    found = [
        path.name
        for path in package.rglob("*.py")
        if private.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["typer_private.py"]
