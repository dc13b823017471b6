"""What is measured, and the peers measured beside it. Run from the checkout: `python -m benchmarks.robustness`."""
