"""``kgctl path``: exit codes, and output for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.recorded import kgctl

CASES = Path(__file__).parents[1] / "diagnosis" / "cases"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["aws-2", "home-pi"], 0),
        (["peer/laptop", "192.168.178.20"], 0),
        (["aws-1", "8.8.8.8"], 1),
        (["aws-1", "home-tv"], 2),  # not ready
        (["8.8.8.8", "aws-1"], 2),
        (["aws-1", "aws-9"], 2),
        (["aws-1"], 2),
        (["aws-1", "aws-2", "--nonsense"], 2),
        (["aws-1", "aws-2", "--mesh-granularity", "none"], 2),
    ],
)
def test_the_exit_code_is_the_answer(arguments: list[str], code: int) -> None:
    done = kgctl("--example", "path", *arguments)
    assert done.code == code
    assert bool(done.stdout) is (code < 2)


def test_what_is_not_ready_is_told_with_its_reason() -> None:
    said = kgctl("--example", "path", "aws-1", "home-tv").stderr
    assert '"home-tv" takes no part in the network: heartbeat 3h old' in said
    assert 'did you mean "aws-1"?' in kgctl("--example", "path", "aws1", "aws-2").stderr


def test_an_address_of_what_takes_no_part_says_so() -> None:
    done = kgctl("--example", "path", "aws-1", "10.42.10.5")
    assert done.code == 1
    whose = "10.42.10.5 (of home-tv, which takes no part: heartbeat 3h old)"
    assert done.stdout.startswith(f"10.42.0.2 (a pod of aws-1) does not reach {whose}")
    assert (
        "heartbeat 3h old, so its way into the network is unknown"
        in kgctl("--example", "path", "10.42.10.5", "aws-1").stderr
    )


def test_json_has_every_hop() -> None:
    done = kgctl("--example", "path", "aws-2", "home-pi", "-o", "json")
    path = json.loads(done.stdout)
    assert path["reachable"] is True
    assert [hop["to"]["name"] for hop in path["there"]["hops"]] == ["aws-1", "home-nas", "home-pi"]
    tunnel = path["there"]["hops"][1]["tunnel"]
    assert (tunnel["allowedIP"], tunnel["sourceAllowedIP"]) == ("10.42.9.0/24", "10.42.1.0/24")
    stopped = json.loads(kgctl("--example", "path", "aws-1", "8.8.8.8", "-o", "json").stdout)
    assert stopped["there"]["failure"]["reason"] == "no-route"
    assert stopped["back"] is None


def test_the_graph_is_that_of_the_network_with_the_way_drawn_in() -> None:
    plain = kgctl("--example", "graph").stdout.splitlines()
    drawn = kgctl("--example", "path", "aws-2", "home-pi", "-o", "dot").stdout.splitlines()
    added = [line for line in drawn if line not in plain]
    assert len(added) == 6
    assert all("color=" in line and "->" in line for line in added)


def test_an_address_that_two_have_is_where_the_packet_arrives() -> None:
    case = CASES / "KG208-trips.yaml"  # 192.168.1.10 is the internal IP of a and of b
    arguments = ("-f", str(case), "--at", "1000", "path")
    answer = kgctl(*arguments, "b", "192.168.1.10")
    first, second, *_ = answer.stdout.splitlines()
    assert first.endswith("reaches 192.168.1.10 (the internal IP of b)")
    assert second == ("192.168.1.10 is the internal IP of a as well; more: kgctl explain KG208")
    found = json.loads(kgctl(*arguments, "a", "192.168.1.10", "-o", "json").stdout)
    assert found["to"]["is"] == "the internal IP of a"
    assert found["to"]["also"] == ["the internal IP of b"]
