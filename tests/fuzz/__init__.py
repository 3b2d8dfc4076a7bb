"""Fuzzing: ``make fuzz``. Bytes become clusters, and outputs are checked for harm."""
