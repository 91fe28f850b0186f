"""Real schedulers on this machine alone, for tests (marker `clusters`, `make clusters`)."""
