"""What the market adds to training: see `python -m benchmarks.overhead -h`."""
