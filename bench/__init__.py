"""How fast kgctl is, measured as a user meets it: whole processes, on a real API server."""
