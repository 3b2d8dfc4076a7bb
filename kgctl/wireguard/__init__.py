"""WireGuard keys, devices and configuration formats."""
