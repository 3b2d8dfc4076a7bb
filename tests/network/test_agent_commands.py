"""The commands of ``kgctl agent --dry-run``, run as root in a network namespace of their own."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.support.recorded import kgctl

BEFORE = """
set -e
ip link set lo up
for name in eth0 kilo0 tunl0; do ip tuntap add $name mode tun; ip link set $name up; done
ip address add {internal} dev eth0
"""
"""A node: devices that take packets stand for its cable, WireGuard and IPIP."""

AFTER = """
exec 3>&1 1>&2
ip -j route show table main >&3; echo >&3
found=$(ip -j route show table 1107 2>/dev/null) || found='[]'; echo "$found" >&3
iptables -t nat -S >&3; iptables -S >&3
"""
MADE_ELSEWHERE = ("wg ", "ip link add ", "ip tunnel add ")


def shown(node: str, *options: str) -> str:
    code, out, errors = kgctl("--example", "agent", "--hostname", node, "--dry-run", *options)
    assert (code, errors) == (0, "")
    return out


def networks(routes: list[dict[str, Any]]) -> set[str]:
    return {one["dst"] if "/" in one["dst"] else f"{one['dst']}/32" for one in routes}


@pytest.mark.needs("unshare", "bash", "iptables", "ip6tables")
@pytest.mark.parametrize(
    ("node", "internal", "options"),
    [
        ("aws-1", "10.0.1.11/24", ["--encapsulate=always", "--iptables-forward-rules"]),
        ("aws-1", "10.0.1.11/24", ["--encapsulate=never", "--service-cidr=10.43.0.0/16"]),
        ("aws-2", "10.0.2.12/24", ["--encapsulate=always"]),
        ("aws-2", "10.0.2.12/24", ["--encapsulate=never"]),
        ("edge-1", "172.31.0.1/24", ["--mesh-granularity=full", "--cni=false"]),
    ],
)
def test_every_command_is_one_that_the_kernel_takes(
    node: str, internal: str, options: list[str]
) -> None:
    lines = [
        line for line in shown(node, *options).splitlines() if not line.startswith(MADE_ELSEWHERE)
    ]
    script = BEFORE.format(internal=internal) + "\n".join(lines) + AFTER
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    main, table, *rules = [line for line in done.stdout.splitlines() if line]
    plan = json.loads(shown(node, *options, "-o", "json"))
    four = [one for one in plan["routes"] if ":" not in one["dst"]]
    wanted = networks([one for one in four if "table" not in one])
    assert wanted <= networks(json.loads(main))
    assert networks([one for one in four if "table" in one]) == networks(json.loads(table))
    for one in (*plan["iptables-append"], *plan["iptables-prepend"]):
        family, _, rule = one.split(" ", 2)
        if family == "ipv4" and "FORWARD" not in rule and "ipencap" not in rule:
            assert rule in rules
