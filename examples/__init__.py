"""Examples, each a folder that is run by one command: python -m examples.NAME."""
