"""The base of what this package raises outside the devnet."""


class NetworkError(Exception):
    """Something about a network that a person can put right; the message says what and how."""
