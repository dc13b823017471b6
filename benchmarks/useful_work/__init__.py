"""Training that is replayed: what exactness costs, which cheats are caught, what verification adds to a round, and what riders earn."""
