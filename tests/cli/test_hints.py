"""Hints that the command line adds to errors of lower layers, which have no options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kgctl
from kgctl.cli.core.hints import HINTS, OPTIONS, message
from kgctl.errors import ClusterError, KgctlError, RequestTimeoutError
from tests.support.recorded import kgctl as run

CLI = Path(kgctl.__file__).parent / "cli"
SLOW = RequestTimeoutError("HOST did not answer in time: is it up?", field="request_timeout")
HINT = " --request-timeout sets how long to wait"


def wrapped(text: str, inner: Exception) -> KgctlError:
    try:
        raise ClusterError(text) from inner
    except ClusterError as error:
        return error


def test_a_hint_stands_behind_the_message() -> None:
    assert message(SLOW) == f"{SLOW}{HINT}"
    assert message(KgctlError("it failed")) == "it failed"
    assert message(KgctlError("it failed", field="nobody sets it")) == "it failed"


def test_an_option_stands_in_the_place_of_the_field() -> None:
    error = KgctlError('gateway "a" is in no segment', field="gateway")
    assert message(error) == '--gateway "a" is in no segment'


def test_the_hint_of_a_quoted_error_stands_behind_its_own_message() -> None:
    one = wrapped(f"a: {SLOW}; the file stays as it is", SLOW)
    assert message(one) == f"a: {SLOW}{HINT}; the file stays as it is"
    two = wrapped(f"b: {one}; run it again", one)
    assert message(two) == f"b: a: {SLOW}{HINT}; the file stays as it is; run it again"
    assert message(wrapped("something else failed", SLOW)) == "something else failed"


def test_an_error_that_gets_the_name_of_its_cluster_keeps_its_hint() -> None:
    error = RequestTimeoutError("no answer:", field="request_timeout")
    error.args = (f"home: {error}",)
    assert message(error) == f"home: no answer:{HINT}"


@pytest.mark.parametrize("hint", [*OPTIONS.values(), *HINTS.values()])
def test_every_option_of_a_hint_is_one_of_a_command(hint: str) -> None:
    """The help of the commands says which there are."""
    helps = "\n".join(run(*command.split(), "--help").stdout for command in COMMANDS)
    for option in re.findall(r"--[a-z-]+", hint):
        assert re.search(rf"{option}\b", helps), option


COMMANDS = ("graph", "showconf peer", "peer add", "peer set", "connect", "link")


def test_cli_prints_no_error_without_its_hint() -> None:
    """An error that is caught in ``cli`` is put into words by ``message`` alone."""
    caught = re.compile(
        r"except (?:\w*KgctlError|\w*MeshError|ClusterError|RequestTimeoutError) as error:\n"
        r"((?: +.*\n)+?)(?=\S|\n| +(?:except|else|finally))"
    )
    found = []
    for path in sorted(CLI.rglob("*.py")):
        for block in caught.findall(path.read_text()):
            text = re.sub(r"error\.args = .*", "", block)
            if re.search(r"\{error\}|str\(error\)", text) and " from error" not in text:
                found.append(path.name)
    assert found == []
