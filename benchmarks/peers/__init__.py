"""Codes that solve the same cell problem: what each needs, and a script that runs it.

The scripts ``run_*.py`` run in the environment of their code and share ``harness``;
the other modules belong to ``benchmarks/peers.py``.
"""
