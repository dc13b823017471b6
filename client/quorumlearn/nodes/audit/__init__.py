"""A task replayed from the ledger and the store: every block, weight and fault is derived again and compared."""
