"""Surroundings of a tunnel: read from files and from this process' sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from kgctl.host.links import RouteTable
from kgctl.host.surroundings import read_resolvers, remote_addresses, surroundings
from kgctl.mesh.cidr import parse_address

if TYPE_CHECKING:
    from pathlib import Path


def test_resolvers_are_those_of_all_files_but_this_machine_itself(tmp_path: Path) -> None:
    first, second = tmp_path / "resolv.conf", tmp_path / "upstream.conf"
    first.write_bytes(
        b"# nameserver 192.0.2.9\nnameserver 127.0.0.53\nnameserver\t192.0.2.1 # home\n"
        b"search example\nnameserver fe80::1%eth0\nnameserver 2001:db8::1\nnameserver\n\xff\xfe\n"
        b"nameserver ::1\nnameserver nonsense\n"
    )
    second.write_text("nameserver 192.0.2.2\n")
    files = (first, second, tmp_path / "missing", tmp_path)
    assert list(map(str, read_resolvers(files))) == ["192.0.2.1", "2001:db8::1", "192.0.2.2"]
    addresses = [one for text in ("127.0.0.1", "192.0.2.50") if (one := parse_address(text))]
    found = surroundings(RouteTable(set(), frozenset()), addresses, files)
    assert set(map(str, found.addresses)) == {"192.0.2.50"}
    assert len(found.resolvers) == 3


def test_connections_of_this_process_are_seen_by_their_other_end() -> None:
    before = remote_addresses()
    with socket.create_server(("127.0.8.1", 0)) as server, socket.socket(type=socket.SOCK_DGRAM):
        assert remote_addresses() == before
        with socket.create_connection(server.getsockname()):
            assert {str(one) for one in remote_addresses() - before} == {"127.0.8.1"}
    assert remote_addresses() == before
