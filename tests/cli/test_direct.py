"""Calls that run without Typer: only those that Typer reads in the same way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgctl.cli.core.app import plain_call
from tests.support.recorded import kgctl
from tests.test_imports import new_modules

if TYPE_CHECKING:
    from pathlib import Path

BY_TYPER = "--backend=kubernetes"
"""An option that changes nothing, and is left to Typer."""

COMMANDS = [
    ["graph"],
    ["showconf", "node", "aws-1"],
    ["showconf", "node", "aws-2"],
    ["showconf", "node", "nowhere"],
    ["showconf", "peer", "laptop"],
    ["showconf", "peer", "tablet"],
]
CALLS = ["graph", "showconf node edge-1", "showconf peer laptop"]

OPTIONS = [
    ["--example"],
    ["--mesh-granularity", "full"],
    ["--mesh-granularity=location"],
    ["--mesh-granularity=none"],
    ["--topology-label", "zone"],
    ["--topology-label=other"],
    ["--request-timeout", "2s"],
    ["--kubeconfig=SNAPSHOT/other"],
    ["--at", "newest"],
    ["--at=2001-01-01T00:00:00Z"],
    ["--at", "never"],
    ["--request-timeout", "soon"],
    ["--request-timeout=1s"],
    ["--context", "a"],
    ["--context=b"],
    ["--kubeconfig", "SNAPSHOT/none"],
    ["-f", "SNAPSHOT/nothing.yaml"],
    ["-f=SNAPSHOT/cluster.json"],
    ["--filename", "SNAPSHOT/cluster.json"],
    ["--filename="],
    ["-fSNAPSHOT/cluster.json"],
    ["--port", "1"],
    ["--at"],
    ["--"],
    ["more"],
    [""],
    ["--kubeconfig", "-o"],
    ["-o", "dot"],
]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("snapshot")
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "aws-1",
            "labels": {"zone": "z1"},
            "annotations": {
                "kilo.squat.ai/endpoint": "198.51.100.11:51820",
                "kilo.squat.ai/key": "XzFVuRNaoGx1A/INlJld+7pG7yI4rdwNHVpu7ItL0UE=",
                "kilo.squat.ai/last-seen": "4102444800",
                "kilo.squat.ai/internal-ip": "10.0.1.11/24",
                "kilo.squat.ai/granularity": "location",
            },
        },
        "spec": {"podCIDR": "10.42.0.0/24"},
    }
    cluster = {"apiVersion": "v1", "kind": "List", "items": [node]}
    (directory / "cluster.json").write_text(json.dumps(cluster))
    return directory


def same(words: list[str], snapshot: Path) -> bool:
    """Tell whether Typer has the command line answered as it is answered."""
    words = [word.replace("SNAPSHOT", str(snapshot)) for word in words]
    if not any(word.startswith(("-f", "--filename")) for word in words):
        words += ["--example"]  # and never the cluster of whoever runs the tests
    return kgctl(*words) == kgctl(BY_TYPER, *words)


@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_an_option_is_read_as_typer_reads_it(option: list[str], snapshot: Path) -> None:
    for command in COMMANDS:
        for place in range(len(command) + 1):
            assert same([*command[:place], *option, *command[place:]], snapshot)


@pytest.mark.parametrize("first", OPTIONS, ids=" ".join)
def test_of_two_options_that_counts_which_counts_to_typer(first: list[str], snapshot: Path) -> None:
    name = "".join(first).partition("=")[0]
    for second in OPTIONS:
        if "".join(second).startswith(name):
            assert same(["graph", *first, *second], snapshot)
            assert same([*first, "showconf", *second, "node", "aws-1"], snapshot)


@given(st.sampled_from(COMMANDS), st.lists(st.tuples(st.integers(0, 3), st.sampled_from(OPTIONS))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_plain_call_is_answered_as_typer_has_it_answered(
    snapshot: Path, command: list[str], more: list[tuple[int, list[str]]]
) -> None:
    words = list(command)
    for place, option in more:
        words[place:place] = option
    assert same(words, snapshot)


@pytest.mark.fast_lane(reason="the slow lane has Typer carry out every call")
@pytest.mark.parametrize("call", CALLS)
def test_plain_calls_are_carried_out_without_typer(call: str) -> None:
    assert plain_call(["--example", *call.split()]) is not None
    new = new_modules(
        "import sys; from kgctl.__main__ import main; main()", "--example", *call.split()
    )
    assert not {name.partition(".")[0] for name in new} & {"typer", "rich", "kubernetes", "yaml"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["graph", "--help"],
        ["graph", "-o", "svg"],
        ["graph", "extra"],
        ["graph", "--debug"],
        ["graph", "--port", "1"],
        ["graph", "--contex", "a"],
        ["graph", "--context"],
        ["graph", "--context="],
        ["graph", "--context", "--example"],
        ["graph", "--context", "a", "--context", "b"],
        ["graph", "--cluster", "a"],
        ["--", "graph"],
        ["showconf"],
        ["showconf", "peer"],
        ["showconf", "peer", ""],
        ["showconf", "peer", "a", "b"],
        ["showconf", "peer", "a", "--as-peer"],
        ["showconf", "machine", "a"],
        ["get", "nodes"],
    ],
)
def test_anything_else_is_left_to_typer(arguments: list[str]) -> None:
    assert plain_call(arguments) is None
