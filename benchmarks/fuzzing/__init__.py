"""Inputs that nobody would give, and what may become of them; see ``fuzz.py``."""
