"""A host that stays on the network: what it is to be like, and keeping it so."""
