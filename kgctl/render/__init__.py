"""How a network is shown: one module a format."""
