"""The kernel's IP in IP as an agent uses it. Runs inside a namespace.

    python -m tests.kernel.encapsulation_steps DIRECTORY

Prints one line per failed step, and nothing else.
"""

from __future__ import annotations

import sys
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from kgctl.host.encapsulation import IPIP, EncapsulationLink
from kgctl.host.host_routes import HostRoute
from kgctl.host.links import Links
from kgctl.host.node_record import MadeLink, NodeRecord, NodeRecordFile
from kgctl.host.node_routes import Applied, NodeRoutes
from kgctl.mesh.agent_plan import TABLE, Compatibility
from kgctl.mesh.cidr import Cidr, parse_cidr, single

if TYPE_CHECKING:
    from kgctl.errors import KgctlError

NODE, OTHER = ip_address("10.1.0.11"), ip_address("10.1.0.12")


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


def check(step: str, actual: object, expected: object) -> None:
    if actual != expected:
        print(f"{step}: {actual}, not {expected}")


def main(directory: Path) -> None:
    record = NodeRecordFile("kilo0", directory)
    with closing(Links()) as links:
        for _ in range(2):
            use(record, links, there=links.find(IPIP) is not None)


def use(record: NodeRecordFile, links: Links, *, there: bool) -> None:
    address = cidr("10.42.0.1/32")
    with closing(EncapsulationLink(Compatibility.NONE, record)) as device:
        tunnel = device.open()
        check("kind", tunnel.link.kind, "ipip")
        made = () if there else (MadeLink(IPIP, tunnel.link.index),)
        check("record", record.read().links, made)
        check("dress", device.dress(tunnel, address=address, mtu=1480), True)
        check("dress again", device.dress(tunnel, address=address, mtu=1480), False)
        check("addresses", links.addresses(tunnel.link), {address})
        links.add_addresses(tunnel.link, [single(NODE)])  # which routes send from
        wanted = [
            HostRoute(cidr("10.42.1.0/24"), IPIP, OTHER, NODE),
            HostRoute(single(OTHER), IPIP, OTHER, NODE, TABLE),
        ]
        with closing(NodeRoutes([IPIP])) as routes:
            check("routes", routes.apply(wanted), Applied(added=2))
            check("routes again", routes.apply(wanted), Applied())
            check("no routes", routes.apply([]), Applied(removed=2))
        links.remove_addresses(tunnel.link, [single(NODE)])
        device.clean_up(failed)
        check("record at the end", record.read(), NodeRecord(interface="kilo0"))
        left = links.find(IPIP)
        # one that comes with the module can only be set down
        check("up at the end", left is not None and left.up, there)


def failed(what: str, error: KgctlError) -> None:
    print(f"{what}: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
