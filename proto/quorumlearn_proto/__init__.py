"""Every record on QuorumLearn's ledger, every event and every artifact, as protobuf; the protocol's steps as a table.

The `.proto` files beside this one are the definition; `*_pb2.py` and `*_pb2.pyi` are generated from them by
`python -m quorumlearn_proto.generate` and checked in (`--check` tells whether they are up to date).
On the ledger a record is its canonical JSON (`canonical.to_json`), so that any Fabric tool can read it.
`accounts` says what an account is called, `protocol` which steps there are, `derived` what contracts and nodes must derive alike
from records.
"""
