"""Tests with real packets: Kilo networks of network namespaces, joined with kgctl's files."""
