"""A web server that answers with the client's address. Runs inside a namespace."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv6Address


class DualStackServer(ThreadingHTTPServer):
    """Listens on IPv6 and, through mapped addresses, on IPv4."""

    address_family = socket.AF_INET6


class WhoAsks(BaseHTTPRequestHandler):
    """Answers every GET with the client's address, a mapped IPv4 one in its own form."""

    def do_GET(self) -> None:
        client = IPv6Address(self.client_address[0])
        body = str(client.ipv4_mapped or client).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    DualStackServer(("::", 80), WhoAsks).serve_forever()
