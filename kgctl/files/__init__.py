"""Writing to disk: whole files only, and never through names that other users control."""
