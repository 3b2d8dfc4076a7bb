"""WireGuard: keys, and the formats of its configuration."""
