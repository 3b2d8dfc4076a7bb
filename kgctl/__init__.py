"""kgctl: the command line for Kilo networks."""

__version__ = "0.1.0"
