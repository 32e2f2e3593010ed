"""Decoding, and the rules that cut an answer out of it."""
