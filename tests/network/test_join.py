"""A machine joins the network with kgctl's output, from the state in a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.network import plan, probe, tunnel
from tests.network.command_line import Kgctl
from tests.network.objects import discovered_endpoints, node_objects, peer_object

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster
    from tests.network.objects import Object
    from tests.network.plan import Inside, Machine, Outside

    Publish = Callable[[list[Object]], Kgctl]

WITH_AN_ADDRESS = (plan.AMS_1, plan.AMS_2, plan.FRA_1)
"""The nodes that anybody can call. A machine behind NAT cannot meet a node behind NAT: neither
knows where the other can be reached, as long as no node tells."""


@pytest.fixture
def publish(api_server: ApiServer) -> Publish:
    """Put objects into the API server; return kgctl for a user who may only read them."""

    def put(objects: list[Object]) -> Kgctl:
        api_server.clear()
        api_server.apply(objects)
        return Kgctl(("--kubeconfig", str(api_server.token_user("reader"))))

    return put


@pytest.mark.parametrize(
    ("machine", "inside", "outside"),
    [
        pytest.param(plan.LAPTOP, "ipv4", "ipv4", id="laptop-behind-nat"),
        pytest.param(plan.LAPTOP, "ipv6", "dns", id="laptop-behind-nat-to-names-ipv6-inside"),
        pytest.param(plan.PHONE, "ipv4", "dns", id="phone-without-ipv4-to-names"),
        pytest.param(plan.PHONE, "ipv6", "ipv6", id="phone-ipv6-inside-and-outside"),
    ],
)
def test_a_machine_joins_with_one_file(
    cluster: SmallCluster,
    publish: Publish,
    tmp_path: Path,
    machine: Machine,
    inside: Inside,
    outside: Outside,
) -> None:
    keys, outsider = cluster.keys[machine.name], cluster[machine.name]
    peer = peer_object(machine, keys.public, inside=[inside], preshared=tunnel.preshared_key())
    kgctl = publish([*node_objects(cluster.keys, inside=inside, outside=outside), peer])
    kgctl.lead(cluster, inside)

    tunnel.join(outsider, kgctl.wg_quick(machine, keys, tmp_path))

    for node in WITH_AN_ADDRESS:
        for address in node.inside(inside).to_ping:
            assert probe.reaches(outsider, address), f"{machine.name} to {node.name} at {address}"
    own = machine.ipv4 if inside == "ipv4" else machine.ipv6
    for node in WITH_AN_ADDRESS:
        assert probe.reaches(cluster[node.name], own), f"{node.name} to {machine.name}"
    tunnel.leave(outsider)
    assert not probe.reaches(outsider, plan.AMS_1.inside(inside).pod, within=1)


def test_every_node_reaches_every_node(cluster: SmallCluster, publish: Publish) -> None:
    publish(node_objects(cluster.keys)).lead(cluster)
    for source in plan.NODES:
        for target in plan.NODES:
            for address in target.ipv4.to_ping:
                reached = probe.reaches(cluster[source.name], address)
                assert reached, f"{source.name} to {target.name} at {address}"


def test_two_behind_nat_meet_once_a_node_tells_where_they_are(
    cluster: SmallCluster, publish: Publish, tmp_path: Path
) -> None:
    laptop, keys = cluster["laptop"], cluster.keys["laptop"]
    objects = [*node_objects(cluster.keys), peer_object(plan.LAPTOP, keys.public)]

    def join(kgctl: Kgctl) -> None:
        kgctl.lead(cluster)
        # The router keeps its mapping only for a port that does not change when we come again.
        config = kgctl.wg_quick(plan.LAPTOP, keys, tmp_path)
        tunnel.join(laptop, config.replace("[Interface]\n", "[Interface]\nListenPort = 51820\n"))

    join(publish(objects))
    for member in ("laptop", "home-1"):
        assert probe.reaches(cluster[member], plan.AMS_1.ipv4.pod)
    assert not probe.reaches(laptop, plan.HOME_1.ipv4.pod, within=1)

    found = {key: peer.endpoint for key, peer in tunnel.dump(cluster["ams-1"]).items()}
    assert found[keys.public] == "198.18.40.40:51820"
    assert found[cluster.keys["home-1"].public] == "198.18.30.30:51820"
    objects[0]["metadata"]["annotations"] |= discovered_endpoints(found)
    tunnel.leave(laptop)
    join(publish(objects))
    for address in plan.HOME_1.ipv4.to_ping:
        assert probe.reaches(laptop, address, within=60), f"laptop to home-1 at {address}"
