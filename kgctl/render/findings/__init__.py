"""Writers of the findings of `kgctl check`, for people and for CI."""
