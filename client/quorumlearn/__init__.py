"""QuorumLearn's client: what an organisation runs to publish tasks, train, verify and read the ledgers."""

from importlib.metadata import version

__version__ = version("quorumlearn")
