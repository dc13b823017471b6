"""`python -m quorumlearn.cli` is the console script `quorumlearn`."""

from quorumlearn.cli import main

main()
