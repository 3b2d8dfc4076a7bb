"""Fuzzing: ``make fuzz``. Bytes become clusters, and no output of one may do what it should not."""
