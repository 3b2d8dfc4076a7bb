"""The page about an overlay of agents alone: every command runs, and its packets arrive."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.network import pages
from tests.network.agents import LAYOUT, AgentLab
from tests.network.commands import describe, run
from tests.network.namespace import Lab
from tests.network.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer
    from tests.network.pages import Step

PAGE = "three-clouds.md"
PATIENCE = 120.0
KEY_DIRECTORY = Path("/var/lib/kilo")
"""Where an agent keeps its key; each machine of the page gets one of its own there."""


@pytest.fixture
def network(api_server: ApiServer, tmp_path: Path) -> Iterator[AgentLab]:
    """The cables and the Node objects, without any annotation."""
    made = not KEY_DIRECTORY.exists()
    KEY_DIRECTORY.mkdir(exist_ok=True)
    try:
        with Lab() as lab, AgentLab(lab, api_server, tmp_path) as network:
            api_server.clear()
            for node in LAYOUT:
                network.publish(node._replace(location="", annotations=()))
            yield network
    finally:
        if made:
            KEY_DIRECTORY.rmdir()


@pytest.mark.needs("root", "ip", "iptables", "nft", "ping", "wg", "wg-quick", "wireguard-go")
def test_the_page_of_an_overlay_in_three_clouds(network: AgentLab, tmp_path: Path) -> None:
    for step in pages.steps(PAGE):
        where = f"{PAGE}: {step.machine or '$'} {step.command}"
        deadline = time.monotonic() + PATIENCE
        while True:
            done = run(_argv(network, step), cwd=tmp_path, env=_environment(network, step),
                       check=False, timeout=60)  # fmt: skip
            if done.returncode == 0 and step.shows(done.stdout):
                break
            # what agents do takes a moment
            reads = step.command.startswith(("kgctl get", "ping", "kgctl status"))
            if not reads or time.monotonic() > deadline:
                pytest.fail(f"{where}\n{describe(done)}\n{network.describe()}")
            time.sleep(0.5)


def _argv(network: AgentLab, step: Step) -> list[str]:
    if not step.machine:
        return ["bash", "-euo", "pipefail", "-c", step.command]
    namespace = network[step.machine]
    own = namespace.directory / "kilo"
    own.mkdir(exist_ok=True)
    script = f"mount --bind {own} {KEY_DIRECTORY}; {step.command}"
    return namespace.entered("bash", "-euo", "pipefail", "-c", script)


def _environment(network: AgentLab, step: Step) -> dict[str, str]:
    server = network.server
    kubeconfig = server.kubeconfig
    if step.machine:
        if step.machine not in network.uplinks:
            network.uplinks[step.machine] = Uplink(network[step.machine], server.url)
        user = server.users.with_token("admin")
        url = network.uplinks[step.machine].url
        kubeconfig = server.write_kubeconfig(f"page-{step.machine}", user, url=url)
    programs = str(Path(sys.executable).parent)
    directory = network[step.machine].directory if step.machine else network.directory
    return {
        "KUBECONFIG": str(kubeconfig),
        "RUNTIME_DIRECTORY": str(directory),
        "PATH": os.pathsep.join([programs, os.environ["PATH"], "/usr/sbin", "/sbin"]),
    }
