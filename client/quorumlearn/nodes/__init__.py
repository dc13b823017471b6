"""Nodes: owner, miner and verifier as loops driven by the ledger's state and events.

`steps` decides (pure functions), `worker` loops, `miner`, `verifier` and `owner` act, `ceremony`, `screening` and `candidate`
hold what verifiers compute together, `feed` keeps the ledger's view fresh and `waking` says when to look at it, `journal`
remembers. `run.Node` puts one organisation's identities to work; `market.Market` is the contracts as typed Python. Import the
modules themselves: some bring torch or TenSEAL with them, and a command that only reads the ledger should not wait for those.
"""
