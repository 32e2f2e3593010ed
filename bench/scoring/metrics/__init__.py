"""Metrics as `evaluate.Metric` modules, loaded by path."""
