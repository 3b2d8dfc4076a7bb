"""Nodes, peers and segments as lists."""
