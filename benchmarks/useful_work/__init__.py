"""What training that can be replayed costs and what it learns; see `__main__`."""
