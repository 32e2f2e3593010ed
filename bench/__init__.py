"""Benchmark kit: whether one multi-task QLoRA model holds up, and at what cost."""

__version__ = "0.1.0"
