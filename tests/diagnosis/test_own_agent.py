"""Rules about the agent of a node: one machine trips each, and a similar one does not."""

from __future__ import annotations

import pytest

from kgctl.diagnosis.node_agent import Kind, Lasting, NodeAgent, Parameter, SilentPeer
from kgctl.diagnosis.report import examine_agents
from kgctl.diagnosis.rules.own_agent import RULES
from tests.support.recorded import kgctl

SOUND = NodeAgent(node="a-1", interface="kilo0", now=1000.0, runs=True, started=400, heartbeat=9.0)
HOSTILE = "x\n\x1b[2J"

TRIPS = {
    "KG801": [
        (SOUND._replace(runs=False), "no kgctl agent runs on this machine"),
        (SOUND._replace(runs=False, heartbeat=None), "there is no heartbeat"),
        (SOUND._replace(heartbeat=60.0), "its agent runs, for 10m, and still its last heartbeat"),
        (SOUND._replace(runs=None, heartbeat=None), "whether its agent runs is unknown"),
    ],
    "KG802": [
        (
            SOUND._replace(differences={Kind.ROUTE: ["a", "b", "c", "d", HOSTILE]}),
            "its routes are not as its agent sets them: a; b; c; and 2 more",
        ),
        (
            SOUND._replace(differences={Kind.DEVICE: [HOSTILE]}, runs=False),
            r"its WireGuard device is not as its agent sets it: x\n\x1b[2J",
        ),
    ],
    "KG803": [
        (
            SOUND._replace(silent=(SilentPeer(HOSTILE, "5m ago", (HOSTILE, "no answer")),)),
            r"no session with x\n\x1b[2J, last handshake 5m ago: x\n\x1b[2J; no answer",
        ),
    ],
    "KG804": [
        (SOUND._replace(refused=(Lasting(HOSTILE, 940),)), r"refuses, for 60s: x\n\x1b[2J"),
        (SOUND._replace(refused=(Lasting("that"),)), "its agent refuses: that"),
    ],
    "KG805": [
        (
            SOUND._replace(parameters=(Parameter("net.ipv4.ip_forward", "0", "1"),)),
            "net.ipv4.ip_forward is 0, and has to be 1",
        ),
        (SOUND._replace(parameters=(Parameter(HOSTILE, "", "2"),)), "is unknown, and has to be 2"),
    ],
    "KG806": [
        (SOUND._replace(inside={HOSTILE: "10.42.0.1:51820"}), r"x\n\x1b[2J at 10.42.0.1:51820"),
    ],
    "KG807": [
        (SOUND._replace(failing=(Lasting(HOSTILE, 1),)), r"fails, for 16m: x\n\x1b[2J"),
    ],
}  # fmt: skip

NEAR_MISSES = {
    "KG801": [
        SOUND,
        SOUND._replace(runs=None, heartbeat=59.9),
        SOUND._replace(runs=False, announced=False, heartbeat=None),  # it ended properly
    ],
    "KG802": [SOUND._replace(differences={Kind.ROUTE: []})],
}


def codes(agent: NodeAgent) -> list[str]:
    return [one.code for one in examine_agents([agent], RULES, {}).findings]


def test_each_rule_has_a_machine_that_trips_it() -> None:
    assert list(TRIPS) == [rule.code for rule in RULES]
    assert codes(SOUND) == []


@pytest.mark.parametrize(
    ("code", "agent", "said"),
    [(code, agent, said) for code, cases in TRIPS.items() for agent, said in cases],
)
def test_a_machine_trips_the_rule(code: str, agent: NodeAgent, said: str) -> None:
    found = [one for one in examine_agents([agent], RULES, {}).findings if one.code == code]
    assert len(found) == 1
    assert said in found[0].sentence
    assert (found[0].kind, found[0].name) == ("node", "a-1")
    for text in (found[0].sentence, found[0].consequence, found[0].remedy):
        assert text
        assert text.isprintable()


@pytest.mark.parametrize(
    ("code", "agent"), [(code, one) for code, cases in NEAR_MISSES.items() for one in cases]
)
def test_a_near_miss_does_not(code: str, agent: NodeAgent) -> None:
    assert code not in codes(agent)


def test_a_node_may_ask_to_ignore_a_finding() -> None:
    annotations = {"a-1": {"kilo.squat.ai/kgctl-ignore": "KG804"}}
    agent = SOUND._replace(refused=(Lasting("that"),), unseen=(HOSTILE,))
    report = examine_agents([agent], RULES, annotations)
    assert ([*report.findings], len(report.ignored)) == ([], 1)
    assert report.unseen == (r"x\n\x1b[2J",)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--select", "KG801"], "KG801 checks the agent of a machine: give --node-agent"),
        (["--node-agent", "--select", "KG001"], "KG001 checks a cluster, not a machine"),
        (["--node-agent", "--offline"], "--offline has no effect with --node-agent"),
        (["--node-agent", "--live"], "--live has no effect with --node-agent"),
        (["--node-agent", "--select", "KG8"], "this machine has no record of kgctl agent"),
    ],
)
def test_the_agent_of_a_machine_is_checked_by_itself(
    arguments: list[str], said: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    done = kgctl("--example", "check", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr
