"""Nodes: owner, miner and verifier as loops driven by the ledger's state and events.

`steps` decides (pure functions), `worker` loops, `owner`, `miner` and the roles in `committee` act. `feed` keeps the ledger's view
fresh, `triggers` says when to look at it, `journal` remembers. `audit` replays a task. `run.Node` puts one organisation's identities to
work; `market.Market` is the contracts as typed Python. Import the modules themselves: some bring torch or TenSEAL with them, and a
command that only reads the ledger should not wait for those.
"""
