"""A Fabric network for QuorumLearn: its description, its identities, and the devnet that runs it on one
machine.
"""
