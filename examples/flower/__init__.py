"""A Flower app as its quickstart writes it, on the market."""
