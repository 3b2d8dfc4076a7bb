"""Benchmarks of kgctl: whole processes on a real API server, as users run them."""
