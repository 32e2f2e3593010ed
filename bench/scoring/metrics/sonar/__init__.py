"""A metric module; load it with ``bench.scoring.metrics.load``."""
