"""Validation of an ordered block against the committed state: Fabric's v2.0 validation and its MVCC checks.

For every transaction, in Fabric's order: the envelope (`check_envelope`), the channel, a transaction id that
the ledger already has, the endorsements (chaincode-level policy of every written namespace, key-level policy
of every written key that has one), a transaction id twice in the block, then read versions and range queries
against the state plus the valid transactions before it. A key whose key-level policy an earlier transaction
of the same block changes cannot be written under the old policy. Nothing here depends on the clock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from fabric_protos.common import common_pb2, policies_pb2
from fabric_protos.peer import chaincode_event_pb2
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.envelope import (
    Code,
    EndorsedTransaction,
    EnvelopeError,
    channel_header_of,
    check_envelope,
    event_of,
    read_endorsed,
    read_write_sets,
)
from quorumlearn_network.devnet.errors import IdentityError, PolicyError
from quorumlearn_network.devnet.ledger import IndexedTransaction
from quorumlearn_network.devnet.lifecycle import LIFECYCLE, Definition, read_definition
from quorumlearn_network.devnet.msp import Identity, Membership
from quorumlearn_network.devnet.mvcc import Outcome, ReadWriteSets, apply_writes, conflicts
from quorumlearn_network.devnet.policy import read_policy, satisfied
from quorumlearn_network.devnet.simulator import VALIDATION_PARAMETER, read_metadata
from quorumlearn_network.devnet.store import get_state, transaction_place


@dataclass(frozen=True)
class _Checked:
    transaction: EndorsedTransaction
    sets: ReadWriteSets


class Validator:
    """Validates the blocks of one channel, one after the other."""

    def __init__(
        self, channel: str, membership: Membership, lifecycle: policies_pb2.SignaturePolicyEnvelope
    ) -> None:
        self._channel = channel
        self._membership = membership
        self._lifecycle_policy = lifecycle
        self._definitions: dict[str, Definition | None] = {}
        self._policies: dict[bytes, policies_pb2.SignaturePolicyEnvelope] = {}

    def validate(self, block: common_pb2.Block, state: sqlite3.Connection) -> Outcome:
        """Decide on every transaction of `block`; `state` is the committed state before it."""
        number = int(block.header.number)
        outcome = Outcome(bytearray(len(block.data.data)))
        checked: dict[int, _Checked] = {}
        repolicied: set[tuple[str, str]] = set()
        for position, data in enumerate(block.data.data):
            try:
                found = self._check(data, state, repolicied)
                if found is not None:
                    checked[position] = found
            except EnvelopeError as error:
                outcome.flags[position] = error.code
        self._mark_repeated(checked, outcome)
        for position, entry in checked.items():
            code = conflicts(entry.sets, state, outcome.updates)
            outcome.flags[position] = code
            if code == Code.VALID:
                apply_writes(entry.sets, (number, position), state, outcome)
        for position, data in enumerate(block.data.data):
            header = channel_header_of(data)
            if header is not None and header.tx_id:
                outcome.transactions.append(
                    IndexedTransaction(header.tx_id, position, outcome.flags[position])
                )
        if any(namespace == LIFECYCLE for namespace, _ in outcome.updates):
            self._definitions.clear()
        return outcome

    def definition(self, name: str, state: sqlite3.Connection) -> Definition | None:
        """The committed definition of a chaincode."""
        if name not in self._definitions:
            self._definitions[name] = read_definition(state, name)
        return self._definitions[name]

    def _check(
        self, data: bytes, state: sqlite3.Connection, repolicied: set[tuple[str, str]]
    ) -> _Checked | None:
        transaction = check_envelope(data, self._membership)
        if transaction is None:
            header = channel_header_of(data)
            if header is None or header.channel_id != self._channel:
                raise EnvelopeError(Code.TARGET_CHAIN_NOT_FOUND, "another channel's configuration")
            raise EnvelopeError(Code.INVALID_CONFIG_TRANSACTION, "the devnet's configuration does not change")
        if transaction.channel != self._channel:
            raise EnvelopeError(Code.TARGET_CHAIN_NOT_FOUND, f"no channel {transaction.channel}")
        if transaction_place(state, transaction.txid) is not None:
            raise EnvelopeError(
                Code.DUPLICATE_TXID, f"transaction {transaction.txid} is on the ledger already"
            )
        sets = _sets(transaction)
        identities = self._endorsers(transaction)
        names = {transaction.chaincode} | {
            name for name, entry in sets if entry.writes or entry.metadata_writes
        }
        changed: set[tuple[str, str]] = set()
        failure: EnvelopeError | None = None
        for name in sorted(names):
            try:
                self._check_namespace(name, sets, identities, state, repolicied)
            except EnvelopeError as error:
                failure = failure or error
                continue
            changed |= {
                (ns, write.key) for ns, entry in sets if ns == name for write in entry.metadata_writes
            }
        repolicied |= changed
        if failure is not None:
            raise failure
        return _Checked(transaction, sets)

    def _check_namespace(
        self,
        name: str,
        sets: ReadWriteSets,
        identities: Sequence[Identity],
        state: sqlite3.Connection,
        repolicied: set[tuple[str, str]],
    ) -> None:
        policy = self._chaincode_policy(name, state)
        keys = [
            write.key for ns, entry in sets if ns == name for write in (*entry.writes, *entry.metadata_writes)
        ]
        chaincode_checked = key_checked = False
        for key in keys:
            if (name, key) in repolicied:
                raise EnvelopeError(
                    Code.ENDORSEMENT_POLICY_FAILURE, f"the policy of {key!r} changes earlier in the block"
                )
            found = get_state(state, name, key)
            parameter = b"" if found is None else read_metadata(found.metadata).get(VALIDATION_PARAMETER, b"")
            if parameter:
                key_checked = True
                _require(self._key_policy(parameter), identities, f"key {key!r}")
            elif not chaincode_checked:
                chaincode_checked = True
                _require(policy, identities, f"chaincode {name}")
        if not chaincode_checked and not key_checked:
            _require(policy, identities, f"chaincode {name}")

    def _chaincode_policy(self, name: str, state: sqlite3.Connection) -> policies_pb2.SignaturePolicyEnvelope:
        if name == LIFECYCLE:
            return self._lifecycle_policy
        definition = self.definition(name, state)
        if definition is None:
            raise EnvelopeError(Code.INVALID_CHAINCODE, f"chaincode {name} is not defined")
        return definition.policy

    def _key_policy(self, parameter: bytes) -> policies_pb2.SignaturePolicyEnvelope:
        if parameter not in self._policies:
            try:
                self._policies[parameter] = read_policy(parameter)
            except PolicyError as error:
                raise EnvelopeError(Code.ENDORSEMENT_POLICY_FAILURE, str(error)) from error
        return self._policies[parameter]

    def _endorsers(self, transaction: EndorsedTransaction) -> list[Identity]:
        """Distinct identities whose signatures verify; who does not verify simply does not count."""
        found: dict[bytes, Identity] = {}
        for endorsement in transaction.endorsements:
            try:
                identity = self._membership.identity(endorsement.endorser)
            except IdentityError:
                continue
            mark = identity.msp_id.encode() + identity.certificate.tbs_certificate_bytes
            signed = transaction.response_payload + endorsement.endorser
            if mark not in found and identity.verify(signed, endorsement.signature):
                found[mark] = identity
        return list(found.values())

    def _mark_repeated(self, checked: dict[int, _Checked], outcome: Outcome) -> None:
        seen: set[str] = set()
        for position in list(checked):
            txid = checked[position].transaction.txid
            if txid in seen:
                outcome.flags[position] = Code.DUPLICATE_TXID
                del checked[position]
            seen.add(txid)


def chaincode_events(block: common_pb2.Block, flags: bytes) -> list[chaincode_event_pb2.ChaincodeEvent]:
    """The events of a block's valid transactions, in their order."""
    found = []
    for position, data in enumerate(block.data.data):
        transaction = read_endorsed(data) if flags[position] == Code.VALID else None
        event = event_of(transaction) if transaction is not None else None
        if event is not None:
            found.append(event)
    return found


def _sets(transaction: EndorsedTransaction) -> ReadWriteSets:
    """The read-write sets, after the checks of Fabric's plugin dispatcher."""
    action = transaction.action
    try:
        sets = read_write_sets(action.results)
    except DecodeError as error:
        raise EnvelopeError(Code.BAD_RWSET, "the read-write set cannot be read") from error
    if not action.HasField("chaincode_id"):
        raise EnvelopeError(Code.INVALID_OTHER_REASON, "nil ChaincodeId in ChaincodeAction")
    if not transaction.chaincode or transaction.chaincode != action.chaincode_id.name:
        raise EnvelopeError(
            Code.INVALID_CHAINCODE,
            f"inconsistent ccid info ({transaction.chaincode}/{action.chaincode_id.name})",
        )
    if not action.chaincode_id.version:
        raise EnvelopeError(Code.INVALID_CHAINCODE, "invalid chaincode version")
    if action.events:
        try:
            event = chaincode_event_pb2.ChaincodeEvent.FromString(action.events)
        except DecodeError as error:
            raise EnvelopeError(Code.INVALID_OTHER_REASON, "invalid chaincode event") from error
        if event.chaincode_id != transaction.chaincode:
            raise EnvelopeError(
                Code.INVALID_OTHER_REASON, "the event names another chaincode than the action"
            )
    names = [name for name, _ in sets]
    if len(set(names)) != len(names):
        raise EnvelopeError(Code.ILLEGAL_WRITESET, "a namespace appears twice in the read-write set")
    return sets


def _require(policy: policies_pb2.SignaturePolicyEnvelope, identities: Sequence[Identity], what: str) -> None:
    if not satisfied(policy, identities):
        raise EnvelopeError(
            Code.ENDORSEMENT_POLICY_FAILURE, f"validation of endorsement policy for {what} failed"
        )
