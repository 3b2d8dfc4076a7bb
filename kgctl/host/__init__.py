"""This machine: links, addresses, routes, WireGuard devices and name resolution, on Linux."""
