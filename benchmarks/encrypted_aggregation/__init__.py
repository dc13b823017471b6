"""What an encrypted, screened, threshold-opened sum costs, beside what others pay: see `python -m benchmarks.encrypted_aggregation -h`."""
