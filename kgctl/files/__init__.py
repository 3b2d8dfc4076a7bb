"""All that kgctl writes to disk: whole files, at places that nobody else has chosen for it."""
