"""Which version of QuorumLearn this is, where no installed distribution can be asked: in the chaincode's image there is none.

`rewards:Version` answers with that of the chaincode, and `quorumlearn node check` compares it with the node's own.
"""

VERSION = "0.1.0"
"""As in pyproject.toml; a test holds the two together."""
