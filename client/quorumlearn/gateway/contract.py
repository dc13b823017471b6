"""A chaincode on a channel, and the steps of a transaction: Proposal, Transaction, Commit.

`Contract.evaluate` and `Contract.submit` do all of it; the steps apart are for who needs the transaction id
early, the block, or a pause between them:

    proposal = contract.propose("Transfer", "Org2MSP/bob", "5")
    transaction = proposal.endorse()
    commit = transaction.submit()
    status = commit.status()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2

from quorumlearn.gateway.blocks import code_name
from quorumlearn.gateway.connection import Connection
from quorumlearn.gateway.errors import (
    CommitError,
    CommitStatusError,
    EndorseError,
    EvaluateError,
    SizeError,
    SubmitError,
)
from quorumlearn.gateway.proposal import MismatchError, SignedBytes, build_proposal, read_prepared

CONFLICTS = frozenset({"MVCC_READ_CONFLICT", "PHANTOM_READ_CONFLICT"})
"""Validation codes of a transaction that lost a race; the same call, endorsed anew, may succeed."""
NEW_KEY_RACE = "ENDORSEMENT_POLICY_FAILURE"
"""Of two transactions in one block that make the same key under a policy of its own, Fabric holds the second to that policy, which
its endorsers did not know of. Mostly the code means what it says, so the call is endorsed anew once, and not again."""
VALID = "VALID"

Endorsers = Callable[[EndorseError | None], Sequence[str] | None]
"""Names the organisations (MSP ids) that are to endorse a call, at each attempt anew. It is given the error of those that it named
last; None where they endorsed, or nobody was named yet. `()` leaves it to the peer; None names nobody else, and the error stands."""


@dataclass(frozen=True)
class Status:
    """How a committed transaction was validated: Fabric's name of the code, and the block's number."""

    transaction_id: str
    code: str
    block: int

    @property
    def successful(self) -> bool:
        return self.code == VALID


def _only(organisations: Sequence[str]) -> Endorsers:
    return lambda failure: organisations if failure is None else None


class Contract:
    """A chaincode, or one of the contracts in it; functions are then called `contract:Function`."""

    def __init__(self, connection: Connection, channel: str, chaincode: str, contract_name: str) -> None:
        self._connection = connection
        self._channel = channel
        self.chaincode = chaincode
        self.contract_name = contract_name

    def evaluate(
        self,
        function: str,
        *args: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        endorsing_organisations: Sequence[str] = (),
    ) -> bytes:
        """Call a function on one peer and return its result, changing nothing; else EvaluateError."""
        return self.propose(
            function, *args, transient=transient, endorsing_organisations=endorsing_organisations
        ).evaluate()

    def submit(
        self,
        function: str,
        *args: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        endorsing_organisations: Sequence[str] | Endorsers = (),
    ) -> bytes:
        """Call a function, have it endorsed, ordered and committed, and return its result.

        A transaction that lost a race (MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT, once ENDORSEMENT_POLICY_FAILURE, or peers
        that endorsed different results because they were not at the same block) is endorsed and submitted again as a new
        one, after a wait, up to `Options.conflict` and `Options.disagreement` attempts. `endorsing_organisations` may name
        others where those named do not endorse. Else SizeError, EndorseError, SubmitError, CommitStatusError or CommitError.
        """
        races = self._connection.options.conflict.delays(self._connection.random)
        once = {NEW_KEY_RACE}
        while True:
            transaction = self._endorsed(function, args, transient or {}, endorsing_organisations)
            status = transaction.commit()
            if status.successful:
                return transaction.result
            delay = next(races, None) if status.code in CONFLICTS | once else None
            if delay is None:
                raise CommitError(status.transaction_id, status.code, status.block, self._connection.endpoint)
            once -= {status.code}
            self._pause(delay)

    def evaluate_jointly(
        self, function: str, *args: str | bytes, endorsing_organisations: Sequence[str] = ()
    ) -> bytes:
        """The result that a peer of each of these organisations has, changing nothing; else SizeError or EndorseError."""
        return self._endorsed(function, args, {}, endorsing_organisations).result

    def _endorsed(
        self,
        function: str,
        args: Sequence[str | bytes],
        transient: Mapping[str, bytes],
        organisations: Sequence[str] | Endorsers,
    ) -> Transaction:
        """An endorsed call; peers that are not at the same block are asked again, and then others, if any are named."""
        disagreement, random = self._connection.options.disagreement, self._connection.random
        choose = organisations if callable(organisations) else _only(organisations)
        named, delays = choose(None) or (), disagreement.delays(random)
        while True:
            proposal = self.propose(function, *args, transient=transient, endorsing_organisations=named)
            try:
                return proposal.endorse()
            except EndorseError as error:
                delay = next(delays, None) if error.disagreement else None
                if delay is None:
                    others = choose(error)
                    if others is None:
                        raise
                    named, delays, delay = others, disagreement.delays(random), 0.0
            self._pause(delay)

    def _pause(self, seconds: float) -> None:
        self._connection.closed.wait(seconds)
        self._connection.check_open()

    def propose(
        self,
        function: str,
        *args: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        endorsing_organisations: Sequence[str] = (),
    ) -> Proposal:
        """A signed proposal, not yet sent. `transient` data reaches the chaincode but not the ledger.

        Only `endorsing_organisations` (MSP ids) are asked; by default the peer finds who must endorse.
        """
        name = f"{self.contract_name}:{function}" if self.contract_name else function
        connection = self._connection
        connection.check_open()
        values = [name.encode(), *(arg.encode() if isinstance(arg, str) else arg for arg in args)]
        proposal = build_proposal(
            connection.identity, connection.signer, self._channel, self.chaincode, values, transient or {}
        )
        return Proposal(connection, proposal, name, tuple(endorsing_organisations))


class Proposal:
    """A signed call of a chaincode function."""

    def __init__(
        self, connection: Connection, proposal: SignedBytes, function: str, organisations: tuple[str, ...]
    ) -> None:
        self._connection = connection
        self._proposal = proposal
        self._function = function
        self._organisations = organisations

    @property
    def transaction_id(self) -> str:
        return self._proposal.transaction_id

    def evaluate(self) -> bytes:
        """The function's result on one peer; else EvaluateError."""
        connection = self._connection
        request = gateway_pb2.EvaluateRequest(
            transaction_id=self.transaction_id,
            channel_id=self._proposal.channel,
            proposed_transaction=self._signed(),
            target_organizations=self._organisations,
        )
        response = connection.call(
            connection.gateway.Evaluate,
            request,
            connection.options.timeouts.evaluate_s,
            EvaluateError,
            f"evaluating {self._function}",
            self.transaction_id,
        )
        result: bytes = response.result.payload
        return result

    def endorse(self) -> Transaction:
        """Have enough organisations' peers simulate and sign; else SizeError (unasked) or EndorseError."""
        connection, proposal = self._connection, self._proposal
        self._check_size(proposal.estimated_envelope_bytes, "will be about")
        request = gateway_pb2.EndorseRequest(
            transaction_id=self.transaction_id,
            channel_id=proposal.channel,
            proposed_transaction=self._signed(),
            endorsing_organizations=self._organisations,
        )
        doing = f"endorsing {self._function}"
        response = connection.call(
            connection.gateway.Endorse,
            request,
            connection.options.timeouts.endorse_s,
            EndorseError,
            doing,
            self.transaction_id,
        )
        envelope = response.prepared_transaction
        try:
            result = read_prepared(proposal, envelope.payload)
        except MismatchError as error:
            raise EndorseError(
                f"{doing}: {error}; it was not signed",
                transaction_id=self.transaction_id,
                endpoint=connection.endpoint,
            ) from error
        envelope.signature = connection.signer(envelope.payload)
        self._check_size(envelope.ByteSize(), "is")
        return Transaction(connection, proposal, self._function, envelope, result)

    def _signed(self) -> proposal_pb2.SignedProposal:
        return proposal_pb2.SignedProposal.FromString(self._proposal.signed)

    def _check_size(self, size: int, verb: str) -> None:
        limit = self._connection.options.max_envelope_bytes
        if size > limit:
            raise SizeError(
                f"the transaction of {self._function} {verb} {size} bytes, over the orderer's limit of "
                f"{limit}; store large values elsewhere and put their digest on the ledger",
                transaction_id=self.transaction_id,
                endpoint=self._connection.endpoint,
            )


class Transaction:
    """An endorsed transaction, signed and ready for the orderer."""

    def __init__(
        self,
        connection: Connection,
        proposal: SignedBytes,
        function: str,
        envelope: common_pb2.Envelope,
        result: bytes,
    ) -> None:
        self._connection = connection
        self._proposal = proposal
        self._function = function
        self._envelope = envelope
        self.result = result
        """What the function returned, as endorsed; it holds once the transaction is committed as valid."""

    @property
    def transaction_id(self) -> str:
        return self._proposal.transaction_id

    def submit(self) -> Commit:
        """Hand the transaction to the orderer; else SubmitError. It is not committed yet."""
        connection = self._connection
        request = gateway_pb2.SubmitRequest(
            transaction_id=self.transaction_id,
            channel_id=self._proposal.channel,
            prepared_transaction=self._envelope,
        )
        connection.call(
            connection.gateway.Submit,
            request,
            connection.options.timeouts.submit_s,
            SubmitError,
            f"submitting {self._function}",
            self.transaction_id,
        )
        return Commit(connection, self._proposal.channel, self.transaction_id, self._function)

    def commit(self) -> Status:
        """Submit it and wait until it is in a block, `Options.submissions` times at most.

        It is submitted again when a deadline passes without news of it. Else SubmitError or CommitStatusError.
        """
        for _ in range(self._connection.options.submissions - 1):
            try:
                return self.submit().status()
            except (SubmitError, CommitStatusError) as error:
                if not error.timed_out:
                    raise
        return self.submit().status()


class Commit:
    """A transaction on its way into a block."""

    def __init__(self, connection: Connection, channel: str, transaction_id: str, function: str) -> None:
        self._connection = connection
        self._channel = channel
        self._function = function
        self.transaction_id = transaction_id

    def status(self) -> Status:
        """Wait until the transaction is in a block and say how it was validated; else CommitStatusError."""
        connection = self._connection
        inner = gateway_pb2.CommitStatusRequest(
            transaction_id=self.transaction_id,
            channel_id=self._channel,
            identity=connection.identity.creator,
        ).SerializeToString()
        response = connection.call(
            connection.gateway.CommitStatus,
            gateway_pb2.SignedCommitStatusRequest(request=inner, signature=connection.signer(inner)),
            connection.options.timeouts.commit_status_s,
            CommitStatusError,
            f"waiting for the commit of {self._function}",
            self.transaction_id,
        )
        return Status(self.transaction_id, code_name(response.result), response.block_number)
