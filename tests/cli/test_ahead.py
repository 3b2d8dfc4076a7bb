"""Prediction of the live cluster that a command line reads, before it is parsed."""

from __future__ import annotations

import pytest

from kgctl.cli.core.ahead import Ahead, Target, target_of
from kgctl.state.api_server import ApiServer


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        (["graph"], Target()),
        (["showconf", "peer", "laptop", "-o", "wg-quick"], Target()),
        (["--context", "a", "get", "nodes", "--kubeconfig=k"], Target(kubeconfig="k", context="a")),
        (["--mesh-granularity", "full", "graph", "--request-timeout=5s"], Target(None, None, "5s")),
        (["--port=51820", "graph", "--topology-label", "zone"], Target(topology_label="zone")),
        (["graph", "--context", "a", "--context=a"], Target(context="a")),
        (["graph", "--", "-f"], Target()),
    ],
)
def test_a_command_that_reads_leads_to_the_cluster_that_its_options_name(
    arguments: list[str], target: Target
) -> None:
    assert target_of(arguments) == target


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--version"],
        ["genkey"],
        ["peer", "add", "graph"],
        ["graph", "-f", "x.yaml"],
        ["graph", "-fx.yaml"],
        ["graph", "--filename=x.yaml"],
        ["--example", "graph"],
        ["graph", "--help"],
        ["graph", "--context", "one", "--context", "other"],
        ["graph", "--cluster", "one"],
        ["graph", "--debug"],  # which traces every request
        ["--context", "graph"],
        ["--unheard-of", "value", "graph"],
    ],
)
def test_of_any_other_nothing_is_told(arguments: list[str]) -> None:
    assert target_of(arguments) is None


@pytest.mark.parametrize("taken", [Target(context="a"), Target(context="b")])
def test_what_was_asked_is_taken_once_and_only_as_what_it_is(
    taken: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ApiServer] = []
    closed: list[ApiServer] = []
    monkeypatch.setattr(ApiServer, "ask", lambda server: asked.append(server))
    monkeypatch.setattr(ApiServer, "close", lambda server: closed.append(server))
    ahead = Ahead()
    ahead.ask(["graph", "--context", "a"])
    assert len(asked) == 1
    server = ahead.take(taken)
    assert ahead.take(taken) is None
    if taken.context == "a":
        assert (server, closed) == (asked[0], [])
    else:
        assert (server, closed) == (None, asked)


def test_a_wrong_timeout_is_left_to_the_command_to_tell() -> None:
    ahead = Ahead()
    ahead.ask(["graph", "--request-timeout", "soon"])
    assert ahead.take(Target(request_timeout="soon")) is None
