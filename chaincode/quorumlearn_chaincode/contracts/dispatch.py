"""The market chaincode: the table of functions, and how one transaction is dispatched.

A call is `contract:Function` with text arguments. In this order: the function exists, the arguments' number fits, the
timestamp is credible (not for queries), the ledger is initialised, the submitter has the role, the task that the call
names has the specification that it was published with; then the function runs. Only if it returns is anything
written: the records in the order of their keys, then one event. A transaction's answer is its event, a query's its
record; both canonical JSON, a query's also in protobuf's binary form.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import CeremonyStep, Phase
from quorumlearn_proto.common_pb2 import Config
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.protocol import (
    ACCUSE,
    BINARY,
    CARRIED,
    CEREMONY,
    GRANT,
    OF_SEATS,
    PENDING,
    ROUND,
    KeyStep,
    RoundStep,
)

from quorumlearn_chaincode.runtime import (
    ChaincodeStub,
    ClientIdentity,
    IdentityError,
    InvalidArgumentError,
    Response,
)

from . import ballots, blocks, contributions, replays, rewards, tasks, views
from .arguments import bad, identity, shown, task_id, whole
from .call import Call
from .configuration import CONFIG_DIGEST, MINER, OWNER, TREASURY, VERIFIER, organisation_roles, roles_of
from .errors import Code, Refusal
from .ledger import Ledger
from .reads import first_reads, given, step_reads
from .specification import MAX_ROUNDS
from .tables import CONFIG, ROUNDS

INITIALISE = "rewards:Initialise"
KNOWN_QUERIES = 256
"""Of so many queries, by their arguments, is remembered what they read."""


@dataclass(frozen=True)
class Function:
    """A contract function. `role` is what the submitter needs, "" for anyone. A query changes nothing, and takes BINARY as one
    more argument. A seat's part of a step takes PENDING and, where the step carries, what is CARRIED (quorumlearn_proto.protocol).
    """

    name: str
    parameters: tuple[str, ...]
    run: Callable[..., Message | None]
    role: str = ""
    query: bool = False
    step: RoundStep | KeyStep | None = None

    @property
    def of_seats(self) -> bool:
        """Whether it is a seat's part of a step."""
        return self.step is not None and self.step.actor in OF_SEATS

    @property
    def of_task(self) -> bool:
        """Whether it acts in a task, which its first argument names, or asks about one."""
        return self.parameters[:1] == ("task",)

    @property
    def carries(self) -> bool:
        return isinstance(self.step, RoundStep) and self.step.carries

    @property
    def option(self) -> str:
        """What may follow the arguments; "" if nothing may."""
        return BINARY if self.query else PENDING if self.of_seats else ""


@dataclass(frozen=True)
class Request:
    """One call: the function, its arguments, whether its option follows them, and the ceremony's step that it carries."""

    function: Function
    arguments: tuple[str, ...]
    with_option: bool = False
    carried: Request | None = None


def _changes(name: str, parameters: str, run: Callable[..., None], role: str = "") -> Function:
    return Function(name, tuple(parameters.split()), run, role)


def _acts(step: RoundStep | KeyStep, parameters: str, run: Callable[..., None]) -> Function:
    role = VERIFIER if step.actor in OF_SEATS else MINER
    return Function(step.call, tuple(parameters.split()), run, role, step=step)


def _query(name: str, parameters: str, run: Callable[..., Message]) -> Function:
    return Function(name, tuple(parameters.split()), run, query=True)


FUNCTIONS = {
    function.name: function
    for function in (
        _changes(INITIALISE, "config", rewards.initialise),
        _changes("rewards:Admit", "organisation", rewards.admit, TREASURY),
        _changes("rewards:Mint", "account amount", rewards.mint, TREASURY),
        _changes("rewards:Transfer", "account amount", rewards.transfer),
        _query("rewards:Account", "account", rewards.get_account),
        _query("rewards:Statement", "account", rewards.statement),
        _query("rewards:Accounts", "page_size bookmark", rewards.accounts),
        _query("rewards:Escrow", "task", rewards.get_escrow),
        _query("rewards:Stake", "task account", rewards.get_stake),
        _query("rewards:Stakes", "task page_size bookmark", rewards.stakes),
        _query("rewards:Totals", "", rewards.totals),
        _query("rewards:Config", "", rewards.get_config),
        _query("rewards:Version", "", rewards.version),
        _changes("tasks:Publish", "spec", tasks.publish, OWNER),
        _changes("tasks:JoinCommittee", "task", tasks.join_committee, VERIFIER),
        _changes("tasks:LeaveCommittee", "task", tasks.leave_committee, VERIFIER),
        _changes("tasks:Join", "task", tasks.join, MINER),
        _changes("tasks:Leave", "task", tasks.leave, MINER),
        _changes("tasks:Cancel", "task", tasks.cancel, OWNER),
        _changes("tasks:ShowKey", "task key", tasks.show_key, MINER),
        _query("tasks:Get", "task", tasks.get),
        _query("tasks:List", "page_size bookmark", tasks.list_tasks),
        _query("tasks:Miners", "task page_size bookmark", tasks.miners),
        _acts(CEREMONY[CeremonyStep.KEY_COMMIT], "task round attempt contribution", contributions.commit_key),
        _acts(CEREMONY[CeremonyStep.KEY_REVEAL], "task round attempt contribution", contributions.reveal_key),
        _acts(CEREMONY[CeremonyStep.KEY_TEST], "task round attempt contribution", contributions.test_key),
        _acts(
            CEREMONY[CeremonyStep.KEY_CONFIRM], "task round attempt contribution", contributions.confirm_key
        ),
        _acts(CEREMONY[CeremonyStep.KEY_OPEN], "task round attempt contribution", contributions.open_key),
        _acts(CEREMONY[CeremonyStep.KEY_BLAME], "task round attempt contribution", contributions.blame_key),
        _acts(ROUND[Phase.COMMIT], "task round manifest_digest", blocks.commit),
        _acts(ROUND[Phase.REVEAL], "task round manifest claim", blocks.reveal),
        _acts(ROUND[Phase.BEACON], "task round secret", blocks.reveal_beacon),
        _changes(GRANT, "task round keys", replays.grant, OWNER),
        _acts(ROUND[Phase.TRACE], "task round opening", replays.open_trace),
        _acts(ROUND[Phase.REPLAY], "task round report", replays.post_replay),
        _acts(ROUND[Phase.SCREEN], "task round sketch_shares", blocks.post_sketch),
        _acts(ROUND[Phase.SELECT], "task round selection basis", blocks.vote_selection),
        _changes(ACCUSE, "task round accusation", blocks.accuse, VERIFIER),
        _acts(ROUND[Phase.OPEN], "task round aggregate partial", blocks.post_partial),
        _acts(ROUND[Phase.PROPOSE], "task round candidate", blocks.propose),
        _acts(ROUND[Phase.VALIDATE], "task round fixed", ballots.vote_block),
        _changes(ROUND[Phase.VALIDATE].show_call, "task round ballots", ballots.show_ballots, VERIFIER),
        _changes("blocks:Advance", "task", blocks.advance_task),
        _changes("blocks:Challenge", "task height reason", blocks.challenge),
        _changes("blocks:VoteChallenge", "task height ballot", blocks.vote_challenge, VERIFIER),
        _query("blocks:View", "task", views.view),
        _query("blocks:RoundView", "task round", views.round_view),
        _query("blocks:Round", "task round", views.get_round),
        _query("blocks:Block", "task height", views.get_block),
        _query("blocks:Head", "task", views.head),
        _query("blocks:Blocks", "task page_size bookmark", views.blocks),
        _query("blocks:Rounds", "task page_size bookmark", views.rounds),
        _query("blocks:Submissions", "task round page_size bookmark", views.submissions),
        _query("blocks:KeyContributions", "task round page_size bookmark", views.key_contributions),
        _query("blocks:Ballots", "task round turn page_size bookmark", views.ballots),
        _query("blocks:Challenges", "task page_size bookmark", views.all_challenges),
        _query("blocks:Misconducts", "task page_size bookmark", views.misconducts),
        _query("blocks:Authorisations", "task page_size bookmark", views.authorisations),
    )
}


def system_clock_ms() -> int:
    """This endorser's clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def agreed_config() -> str:
    """The digest of the Config that this organisation agreed to when it started its chaincode, "" if it did not say."""
    return os.environ.get(CONFIG_DIGEST, "")


class Market:
    """The chaincode that the runtime serves. Any number of transactions run at once.

    Its only state is which keys a query read when it was last asked: the same query asks for them in its first message. That
    changes how soon an answer is there, not what it is; transactions do without, for what they read they can conflict in.
    """

    def __init__(
        self,
        clock_ms: Callable[[], int] = system_clock_ms,
        config_digest: Callable[[], str] = agreed_config,
    ) -> None:
        self._clock_ms, self._config_digest = clock_ms, config_digest
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, ...], frozenset[str]] = OrderedDict()

    def init(self, stub: ChaincodeStub) -> Response:
        """Nothing to do: rewards:Initialise is an ordinary transaction."""
        return Response()

    def invoke(self, stub: ChaincodeStub) -> Response:
        """Run one function, after the ceremony's step that it carries. Raises `Refusal`; then nothing is written."""
        request = _parse(stub)
        function, carried = request.function, request.carried
        call = self._call(stub, request)
        if not function.query:
            call.check_clock()
        if function.role and function.role not in call.roles:
            raise _no_role(call, function)
        if function.of_task:
            call.check_specification(task_id(request.arguments[0]))
        if carried is not None:
            carried.function.run(call, *carried.arguments)
            call.event.key_step = carried.function.name
        answer = function.run(call, *request.arguments)
        if function.query:
            self._remember((function.name, *request.arguments), call.ledger.asked)
            return Response(payload=_answer(answer, binary=request.with_option))
        _complete_event(call)
        call.ledger.flush()
        payload = canonical.to_json(call.event)
        stub.set_event(function.name, payload)
        return Response(payload=payload)

    def _call(self, stub: ChaincodeStub, request: Request) -> Call:
        function, arguments = request.function, request.arguments
        client, ledger = _client(stub), Ledger(stub)
        actor = f"{client.msp_id}/{client.name}"
        try:
            identity("submitter", actor)
        except Refusal as refusal:
            raise Refusal(
                Code.BAD_IDENTITY, f"the certificate cannot be used: {refusal.sentence}"
            ) from refusal
        requests = [request, *([request.carried] if request.carried else [])]
        named = [given(one.function.parameters, one.arguments, actor) for one in requests]
        known = [
            place
            for one, its in zip(requests, named, strict=True)
            for place in first_reads(one.function.name, its)
        ]
        expected = self._expected((function.name, *arguments)) if function.query else ()
        ledger.load((CONFIG,), *known, expected=expected)
        config = _config(ledger, function, arguments, client, self._config_digest)
        task = arguments[0] if function.of_task else ""
        call = Call(
            ledger=ledger,
            config=config,
            actor=actor,
            msp_id=client.msp_id,
            roles=frozenset(roles_of(config, client)),
            transaction_id=stub.transaction_id,
            now_ms=stub.timestamp_ms,
            clock_ms=None if function.query else self._clock_ms(),
            event=LedgerEvent(kind=function.name, task_id=task, actor=actor),
            pending=function.of_seats and request.with_option,
        )
        if function.of_seats:
            ledger.load(*(place for its in named for place in step_reads(call, its)))
        return call

    def _expected(self, query: tuple[str, ...]) -> frozenset[str]:
        """The keys that this query is likely to read."""
        with self._lock:
            return self._known.get(query, frozenset())

    def _remember(self, query: tuple[str, ...], keys: frozenset[str]) -> None:
        with self._lock:
            self._known[query] = keys
            self._known.move_to_end(query)
            if len(self._known) > KNOWN_QUERIES:
                self._known.popitem(last=False)


def _answer(record: Message | None, binary: bool) -> bytes:
    """A query's answer."""
    if record is None:
        return b""
    return record.SerializeToString(deterministic=True) if binary else canonical.to_json(record)


def _parse(stub: ChaincodeStub) -> Request:
    try:
        name, arguments = stub.function_and_parameters()
    except InvalidArgumentError as error:
        raise bad("the arguments are not UTF-8 text") from error
    function = FUNCTIONS.get(name)
    if function is None:
        raise Refusal(Code.UNKNOWN_FUNCTION, f"there is no function {shown(name)}: see docs/protocol.md")
    count = len(function.parameters)
    own, rest = tuple(arguments[:count]), arguments[count:]
    with_option = bool(function.option) and rest[:1] == [function.option]
    rest = rest[with_option:]
    if function.carries and len(own) == count and len(rest) == 3 and rest[0] in CARRIED:
        task, number = own[0], whole("round", own[1], 1, MAX_ROUNDS)
        step, attempt, contribution = rest
        carried = Request(FUNCTIONS[CARRIED[step].call], (task, str(number + 1), attempt, contribution))
        return Request(function, own, with_option, carried)
    if len(own) < count or rest:
        expected = ", ".join(function.parameters) or "nothing"
        raise bad(f"{name} takes {count} arguments ({expected}), given were {len(arguments)}")
    return Request(function, own, with_option)


def _client(stub: ChaincodeStub) -> ClientIdentity:
    try:
        return stub.client
    except IdentityError as error:
        raise Refusal(Code.BAD_IDENTITY, f"the certificate cannot be used: {error}") from error


def _config(
    ledger: Ledger,
    function: Function,
    arguments: Sequence[str],
    client: ClientIdentity,
    agreed: Callable[[], str],
) -> Config:
    config = ledger.get(CONFIG)
    if function.name == INITIALISE:
        if config is not None:
            raise Refusal(Code.ALREADY_INITIALISED, "the ledger is initialised; that is done once")
        return rewards.read_config(arguments[0], client, agreed())
    if config is None:
        raise Refusal(Code.NOT_INITIALISED, f"the ledger is not initialised: {INITIALISE} comes first")
    return config


def _no_role(call: Call, function: Function) -> Refusal:
    if function.role not in (organisation_roles(call.config, call.msp_id) or ()):
        return Refusal(
            Code.WRONG_ORGANISATION,
            f"{function.name} takes the role {function.role}, which the Config does not give {call.msp_id}",
        )
    return Refusal(
        Code.WRONG_ROLE,
        f"{function.name} takes the role {function.role}, which {call.actor}'s certificate lacks",
    )


def _complete_event(call: Call) -> None:
    """Fill in the task's status and the round's phase after the transaction, where the function has not."""
    event = call.event
    if not event.task_id or event.status:
        return
    state = call.state(event.task_id)
    event.status = state.status
    event.round = event.round or state.round
    round_ = call.ledger.get(ROUNDS, event.task_id, event.round) if event.round else None
    if round_ is not None:
        event.phase = round_.phase
