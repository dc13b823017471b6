"""What a sketch gives away, measured."""
