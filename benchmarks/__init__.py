"""What is measured, and the peers measured beside it in the same run: `python -m benchmarks` lists them."""
