"""A DNS server with one address for every name: ``nameserver.py LISTEN ANSWER``."""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import IPv4Address

_A = 1


def answer(query: bytes, address: str) -> bytes:
    """Return the answer to a query; only to one for an IPv4 address there is any."""
    end = 12
    while query[end]:
        end += query[end] + 1
    question = query[12 : end + 5]
    found = struct.unpack_from(">H", question, len(question) - 4)[0] == _A
    head = query[:2] + struct.pack(">5H", 0x8180, 1, int(found), 0, 0)
    record = struct.pack(">3HLH", 0xC00C, _A, 1, 0, 4) + IPv4Address(address).packed
    return head + question + (record if found else b"")


def main(listen: str, address: str) -> None:
    """Answer for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((listen, 53))
        while True:
            query, client = server.recvfrom(1500)
            server.sendto(answer(query, address), client)


if __name__ == "__main__":
    main(*sys.argv[1:])
