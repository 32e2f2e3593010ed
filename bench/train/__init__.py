"""Bases, methods, the loss and the training run."""
