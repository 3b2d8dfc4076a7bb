"""``kgctl connect`` with a shorter time than 180 seconds until it counts as cut off.

    python -m tests.network.cut_off KUBECONFIG PRIVATE_KEY_FILE SECONDS NAME=CIDR

Joins as the laptop of the layout, and accepts NAME's claims to CIDR. Reads everything again each
second; otherwise the same as the command line.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kgctl.cli.commands.connect_run import Level, LogFormat, run
from kgctl.cli.core.line import Shared
from kgctl.cli.core.source import live_cluster, mesh_granularity
from kgctl.connect.interface import Options
from kgctl.kilo import TOPOLOGY_LABEL
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.policy import Limits
from tests.network import plan


def main(kubeconfig: str, private_key: str, seconds: str, accept: str) -> None:
    """Join, and stay until a signal comes."""
    name, _, network = accept.partition("=")
    accepted = parse_cidr(network)
    assert accepted is not None
    shared = Shared(kubeconfig=kubeconfig)
    options = Options(
        name=plan.LAPTOP.name,
        interface="kilo0",
        address=parse_cidr(f"{plan.LAPTOP.ipv4}/32"),
        extra=(),
        private_key=Path(private_key),
        listen_port=None,
        keepalive=plan.KEEPALIVE,
        mtu=1420,
        period=1.0,
        clean_up=True,
        granularity=mesh_granularity(shared),
        topology_label=TOPOLOGY_LABEL,
        limits=Limits(accept={name: (accepted,)}),
        cut_off=float(seconds),
    )
    cluster = live_cluster(shared)
    run(shared, options, cluster, once=False, level=Level.INFO, log_format=LogFormat.JSON)


if __name__ == "__main__":
    main(*sys.argv[1:])
