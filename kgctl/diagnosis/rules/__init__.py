"""The rules of the diagnosis, one module per family."""
