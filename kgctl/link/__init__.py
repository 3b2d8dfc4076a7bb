"""Linking clusters: what each has to hold for it, and how it gets there."""
