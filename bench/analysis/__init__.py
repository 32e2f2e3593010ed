"""Statistics over per-instance values."""
