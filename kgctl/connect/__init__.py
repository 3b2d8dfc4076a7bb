"""Keeps a host in a Kilo network: the wanted state, and the loop that applies it."""
