"""Access to this Linux host: links, addresses, routes, WireGuard devices and name resolution."""
