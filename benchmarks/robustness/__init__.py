"""How robust rules hold against attacks: `python -m benchmarks.robustness --help`."""
