"""What a run printed: its lines, their levels, an index of them, and searches; for logs of any size."""
