"""What `kgctl check` finds, in the formats of people and of CI."""
