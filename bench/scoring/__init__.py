"""Suites, metrics, code quality and the sandbox."""
