"""The rules of ``kgctl check``: pure functions over the state of a cluster."""
