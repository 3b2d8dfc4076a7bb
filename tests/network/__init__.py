"""Real packets: Kilo networks built out of network namespaces, joined with kgctl's files."""
