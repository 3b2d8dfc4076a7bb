"""What only a real kernel shows: WireGuard, netem. Runs in the guest of tests/vm (make kernel)."""
