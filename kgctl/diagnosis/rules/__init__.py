"""The rules of a diagnosis, a module a family."""
