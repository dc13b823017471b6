"""What training that can be replayed costs, what it learns, and how often a replay finds who did not do it; see `__main__`."""
