"""Reduced bases over the moduli of fixed microstructures."""
