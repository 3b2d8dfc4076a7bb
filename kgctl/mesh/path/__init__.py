"""Paths of packets through a Kilo network, hop by hop, and where they fail."""
