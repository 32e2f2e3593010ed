"""Running stages: order, processes, resume, provenance."""
