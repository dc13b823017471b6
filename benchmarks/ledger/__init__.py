"""What the ledger costs: a submission's latency and throughput, and the chain time of a whole round."""
