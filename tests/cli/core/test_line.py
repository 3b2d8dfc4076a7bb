"""Readers of a command line agree: Typer, the plain call, and the early request."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kgctl.cli.core.ahead import Target, target_of
from kgctl.cli.core.app import plain_call
from kgctl.cli.core.line import read_line
from kgctl.cli.core.table import COMMANDS, HELP, OPTIONS, VERSION, Option
from tests.support.typer_commands import commands, own_options, read_by_typer

LEAVES = {
    path: command
    for path, command in commands()
    if path and not hasattr(command, "list_commands") and path != "help"
}
READERS = [path for path in LEAVES if COMMANDS[path.split(" ")[0]].reads]
VALUES = ["a", "a", "a=b", "-", "", "newest", "5", "graph", "-f", "--context", "--at=b"]


def written(names: list[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Return the ways of writing an option that takes a value."""
    long = [name for name in names if name.startswith("--")]
    short = [name for name in names if not name.startswith("--")]
    ways = [
        st.tuples(st.sampled_from(names), values).map(list),
        st.tuples(st.sampled_from(long), values).map(lambda pair: ["=".join(pair)]),
    ]
    if short:
        ways += [
            st.tuples(st.sampled_from(short), values).map(lambda pair: ["".join(pair)]),
            st.tuples(st.sampled_from(short), values).map(lambda pair: ["=".join(pair)]),
            # behind the letter of a switch, which graph and get have
            st.tuples(st.sampled_from(short), values).map(lambda one: [f"-w{one[0][1:]}", one[1]]),
        ]
    return st.one_of(ways)


def of_table(option: Option) -> st.SearchStrategy[list[str]]:
    if option.kind != "switch":
        numbers = st.sampled_from(["51820", "1_0", " 7", "x", "-1"])
        values = numbers if option.kind == "number" else st.sampled_from(VALUES)
        return written([name for name in (option.name, option.short) if name], values)
    values = st.sampled_from(["true", "0", "F", "maybe", ""])
    return st.one_of(
        st.sampled_from([option.name, str(option.off)]).map(lambda name: [name]),
        values.map(lambda value: [f"{option.name}={value}"]),
    )


def of_command(option: Any) -> st.SearchStrategy[list[str]]:
    if option.is_flag:
        return st.sampled_from([*option.opts, *option.secondary_opts]).map(lambda name: [name])
    choices = getattr(option.type, "choices", None)
    values = [getattr(one, "value", one) for one in choices] if choices else VALUES
    return written(list(option.opts), st.sampled_from(values))


SHARED = st.one_of([of_table(option) for option in OPTIONS])
OWN = {
    path: st.lists(st.one_of([of_command(one) for one in own_options(command)]), max_size=2)
    for path, command in LEAVES.items()
    if own_options(command)
}
ODD = st.sampled_from(
    [["--"], ["more"], [""], ["-"], [HELP[0]], [VERSION[0]], ["--bogus", "x"], ["-x"]]
)


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """Draw a command, what it takes, and options of all kinds anywhere between."""
    path = draw(st.sampled_from([*READERS, *READERS, *LEAVES]))
    words = [[word] for word in path.split(" ")]
    kinds = {"get": ["nodes"], "path": ["a", "b"], "graph": [], "check": []}
    words += [[word] for word in kinds.get(path, ["a"])]
    start = len(path.split(" "))
    for option in draw(st.lists(SHARED, max_size=3)):
        words.insert(draw(st.integers(0, len(words))), option)
    for option in draw(OWN[path]) if path in OWN else []:
        words.insert(draw(st.integers(min(start, len(words)), len(words))), option)
    for odd in draw(st.lists(ODD, max_size=1)) if draw(st.integers(0, 4)) == 0 else []:
        words.insert(draw(st.integers(0, len(words))), odd)
    return [word for part in words for word in part]


@given(lines())
@settings(max_examples=300, deadline=None)
@example(["graph", "-wfx.yaml"])
@example(["graph", "-wf", "x.yaml"])
@example(["get", "nodes", "-w", "--context", "a"])
@example(["showconf", "peer", "a", "--dns", "--context", "--at", "newest"])
@example(["showconf", "peer", "a", "--dns", "-f", "--at", "newest"])
@example(["showconf", "--", "node", "a", "-f", "x"])
@example(["--", "graph", "-f", "x"])
@example(["graph", "--no-example", "--debug=false"])
@example(["graph", "--debug=1"])
@example(["graph", "--port", "x", "--port", "5"])
@example(["--context=a", "graph", "--context", "a", "--port=1_0"])
def test_what_reads_a_command_line_reads_the_same(words: list[str]) -> None:
    typers, line = read_by_typer(words), read_line(words)
    plain, target = plain_call(words), target_of(words)
    if typers is None:
        assert plain is None  # a mistake is told by Typer
        return
    if not COMMANDS[typers.path[0]].reads:
        assert (line, plain, target) == (None, None, None)
        return
    if line is None:
        assert "--" in words
        assert (plain, target) == (None, None)
        return
    assert line.shared == typers.shared
    assert line.command.name == typers.path[0]
    assert line.words[: len(typers.path)] == typers.path
    shared = typers.shared
    live = not (shared.several or shared.named or shared.filename or shared.example or shared.debug)
    assert target == (Target.of(shared) if live else None)
    if plain is not None:
        assert isinstance(plain, partial)
        assert not typers.own
        assert plain.args[0] == shared


@pytest.mark.parametrize("path", READERS)
def test_each_option_of_a_command_is_stepped_over(path: str) -> None:
    """The value of each may look like an option, or like a command."""
    for option in own_options(LEAVES[path]):
        for name in option.opts:
            values = [] if option.is_flag else ["--context"]
            line = read_line([*path.split(" "), "a", name, *values, "--at", "newest"])
            assert line is not None
            assert not line.plain
            assert (line.shared.at, line.shared.context) == ("newest", None)
