"""What holds for every function alike: initialisation, arguments, clock, roles, unknown tasks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf.message import Message
from quorumlearn_chaincode.contracts import FUNCTIONS, Code, Function, Refusal
from quorumlearn_chaincode.contracts.configuration import MINER, VERIFIER
from quorumlearn_chaincode.contracts.phases import Why
from quorumlearn_chaincode.runtime import ClientIdentity
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import BlameVote, KeyContribution, Phase, TaskView
from quorumlearn_proto.page_pb2 import TaskPage
from quorumlearn_proto.protocol import OF_SEATS, PENDING, ROUND, STEPS
from quorumlearn_proto.reward_pb2 import Totals

from tests.chaincode.contracts.ledger_stub import Peer, identity
from tests.chaincode.contracts.market_actors import (
    SEALING_KEY,
    SLACK_MS,
    TASK,
    TREASURY,
    Play,
    config,
    js,
    ref,
)

ALL = list(FUNCTIONS.values())
CHANGES = [function for function in ALL if not function.query and function.name != "rewards:Initialise"]
WITH_ROLE = [function for function in ALL if function.role]
OF_A_TASK = [function for function in ALL if function.parameters[:1] == ("task",)]
PLAUSIBLE = {
    "task": "nowhere-1",
    "account": "OwnerMSP/olivia",
    "amount": "5",
    "round": "1",
    "attempt": "1",
    "turn": "0",
    "height": "1",
    "page_size": "10",
    "bookmark": "",
    "manifest_digest": "0" * 64,
    "claim": "0" * 64,
    "secret": "0" * 64,
    "aggregate": "0" * 64,
    "reason": "wrong",
}
HOLDERS = {
    "treasury": TREASURY,
    "owner": "OwnerMSP/olivia",
    "miner": "M1MSP/miner02",
    "verifier": "V1MSP/vera",
    "": "M1MSP/miner02",
}


def words(function: Function) -> list[str]:
    return [function.name, *(PLAUSIBLE.get(name, "{}") for name in function.parameters)]


def refused(play: Peer, client: ClientIdentity, *call: str, timestamp_ms: int | None = None) -> Refusal:
    """The refusal of a call, which must leave no trace."""
    before = dict(play.state)
    with pytest.raises(Refusal) as caught:
        play.endorse(client, *call, timestamp_ms=timestamp_ms)
    assert play.state == before
    assert str(caught.value).startswith(f"[{caught.value.code}] ")
    return caught.value


@pytest.fixture(scope="module")
def peer() -> Peer:
    return Play().peer


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.name)
def test_nothing_works_before_initialise(function: Function) -> None:
    code = refused(Peer(), identity(HOLDERS[function.role]), *words(function)).code
    assert code == (Code.BAD_ARGUMENT if function.name == "rewards:Initialise" else Code.NOT_INITIALISED)


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.name)
@pytest.mark.parametrize("extra", [1, -1])
def test_the_number_of_arguments_is_strict(peer: Peer, function: Function, extra: int) -> None:
    call = [*words(function), "more"] if extra > 0 else words(function)[:-1]
    refusal = refused(peer, identity(HOLDERS[function.role]), *(call or [""]))
    assert refusal.code == (Code.BAD_ARGUMENT if call else Code.UNKNOWN_FUNCTION)


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.name)
@pytest.mark.parametrize("more", [["binary"], ["Binary"], ["binary", "binary"]])
def test_only_queries_answer_in_binary_form_and_only_to_that_word(
    peer: Peer, function: Function, more: list[str]
) -> None:
    client = identity(HOLDERS[function.role])
    if function.query and more == ["binary"]:
        return  # what it answers is in test_a_binary_answer_is_the_same_record
    refusal = refused(peer, client, *words(function), *more)
    assert refusal.code == Code.BAD_ARGUMENT


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (TaskView, ("blocks:View", TASK)),
        (TaskView, ("blocks:RoundView", TASK, "1")),
        (TaskPage, ("tasks:List", "10", "")),
        (Totals, ("rewards:Totals",)),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) else "",
)
def test_a_binary_answer_is_the_same_record(kind: type[Message], call: tuple[str, ...]) -> None:
    play = Play()
    play.start()
    play.to(Phase.SELECT)
    client = identity("M1MSP/miner02")
    text, binary = (play.peer.evaluate(client, *call, *more) for more in ((), ("binary",)))
    assert kind.FromString(binary) == canonical.from_json(kind, text)
    assert 0 < len(binary) < len(text)


@pytest.mark.parametrize("function", CHANGES, ids=lambda f: f.name)
@pytest.mark.parametrize("off_ms", [-30 * SLACK_MS - 1, 30 * SLACK_MS + 1])
def test_a_timestamp_off_by_more_than_thirty_slacks_is_refused(
    peer: Peer, function: Function, off_ms: int
) -> None:
    client = identity(HOLDERS[function.role])
    refusal = refused(peer, client, *words(function), timestamp_ms=peer.clock_ms + off_ms)
    assert refusal.code == Code.STALE_TIMESTAMP


def test_a_stale_initialise_is_refused() -> None:
    fresh = Peer()
    admin = identity(TREASURY, units=("admin",))
    refusal = refused(
        fresh, admin, "rewards:Initialise", js(config()), timestamp_ms=fresh.clock_ms - 30 * SLACK_MS - 1
    )
    assert refusal.code == Code.STALE_TIMESTAMP


@pytest.mark.parametrize("function", [f for f in ALL if f.query], ids=lambda f: f.name)
def test_queries_do_not_read_the_clock(peer: Peer, function: Function) -> None:
    try:
        peer.endorse(identity("M1MSP/miner02"), *words(function), timestamp_ms=0)
    except Refusal as refusal:
        assert refusal.code != Code.STALE_TIMESTAMP


@pytest.mark.parametrize("function", WITH_ROLE, ids=lambda f: f.name)
def test_an_organisation_without_the_role_is_refused(peer: Peer, function: Function) -> None:
    for role, holder in HOLDERS.items():
        if role not in (function.role, ""):
            refusal = refused(peer, identity(holder), *words(function))
            assert refusal.code == Code.WRONG_ORGANISATION
    assert refused(peer, identity("StrangeMSP/eve"), *words(function)).code == Code.WRONG_ORGANISATION
    pretender = identity("StrangeMSP/eve", role=function.role)
    assert refused(peer, pretender, *words(function)).code == Code.WRONG_ORGANISATION


@pytest.mark.parametrize("function", WITH_ROLE, ids=lambda f: f.name)
@pytest.mark.parametrize("attribute", ["", "client", "auditor,clerk"])
def test_a_certificate_narrowed_to_other_roles_is_refused(
    peer: Peer, function: Function, attribute: str
) -> None:
    client = identity(HOLDERS[function.role], role=attribute)
    assert refused(peer, client, *words(function)).code == Code.WRONG_ROLE


@pytest.mark.parametrize("function", OF_A_TASK, ids=lambda f: f.name)
def test_an_unknown_task_is_named_in_the_refusal(peer: Peer, function: Function) -> None:
    call = words(function)
    if "contribution" in function.parameters:
        call[4] = _contribution(function.name)
    if function.name == "rewards:Stake":
        assert refused(peer, identity("M1MSP/miner02"), *call).code == Code.NO_SUCH_STAKE
        return
    refusal = refused(peer, identity(HOLDERS[function.role]), *call)
    assert refusal.code == Code.NO_SUCH_TASK
    assert "nowhere-1" in refusal.sentence


@pytest.mark.parametrize("function", OF_A_TASK, ids=lambda f: f.name)
@pytest.mark.parametrize(
    "task", ["", "ab", "-ab", "Abc", "a b", "x" * 64, "a\x00b", "ａｂｃ", "abc\n", "a/../b"]
)
def test_a_malformed_task_id_is_refused(peer: Peer, function: Function, task: str) -> None:
    call = words(function)
    call[1] = task
    if "contribution" in function.parameters:
        call[4] = _contribution(function.name)
    assert refused(peer, identity(HOLDERS[function.role]), *call).code == Code.BAD_ARGUMENT


@pytest.mark.parametrize(
    "function",
    [f for f in ALL if {"spec", "contribution", "config"} & set(f.parameters)],
    ids=lambda f: f.name,
)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '{"seat":1,"seat":1}',
        '{"nonsense":1}',
        '{"rounds":1e999,"seat":1e999}',
        "[" * 100_000,
        '"' + "x" * 300_000 + '"',
        '{"title":"\\ud800","verifier":"\\ud800","treasury_msp":"\\ud800"}',
        "NaN",
    ],
    ids=range(11),
)
def test_a_record_that_is_not_its_json_is_refused(peer: Peer, function: Function, text: str) -> None:
    call = [text if word == "{}" else word for word in words(function)]
    target, client = peer, identity(HOLDERS[function.role])
    if function.name == "rewards:Initialise":
        target, client = Peer(), identity(TREASURY, units=("admin",))
    assert refused(target, client, *call).code == Code.BAD_ARGUMENT


def test_an_unknown_function_is_refused_without_naming_the_known(peer: Peer) -> None:
    for name in ("", "Mint", "rewards:mint", "rewards:__init__", "rewards:Mint ", "x" * 10_000):
        refusal = refused(peer, identity(TREASURY), name)
        assert refusal.code == Code.UNKNOWN_FUNCTION
        assert len(refusal.sentence) < 200
        assert not any(known in refusal.sentence.replace(name or " ", "") for known in FUNCTIONS)


@pytest.mark.parametrize("name", ["", "a/b", "a b", "é", "x" * 65, ".x", "a\nb"])
def test_a_common_name_that_cannot_be_an_account_is_refused(peer: Peer, name: str) -> None:
    client = identity("M1MSP/x")
    strange = ClientIdentity("M1MSP", name, {}, (), client.not_before, client.not_after)
    assert refused(peer, strange, "rewards:Totals").code == Code.BAD_IDENTITY


def test_every_step_of_the_protocol_is_a_function_of_who_acts_in_it() -> None:
    for step in STEPS.values():
        assert FUNCTIONS[step.call].role == (VERIFIER if step.actor in OF_SEATS else MINER)
    of_seats = {step.call for step in STEPS.values() if step.actor in OF_SEATS}
    assert {name for name, function in FUNCTIONS.items() if function.option == PENDING} == of_seats
    carriers = {step.call for step in ROUND.values() if step.carries}
    assert {name for name, function in FUNCTIONS.items() if function.carries} == carriers


def test_the_table_is_the_protocol_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    section = page[page.index("## Contracts and functions") : page.index("## What moves what")]
    named: set[str] = set()
    contract = ""
    for text in section.splitlines():
        if heading := re.fullmatch(r"\*\*(\w+)\*\*", text):
            contract = heading[1]
        elif contract and text.startswith("| `"):
            functions = re.findall(r"`(\w+)\(", text.split(" | ")[0])
            named |= {f"{contract}:{name}" for name in functions}
    assert named == set(FUNCTIONS)


def test_the_protocol_page_says_in_which_step_a_function_is_called() -> None:
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    when = dict(re.findall(r"^\| `(\w+)\([^`]*`.* \| ([^|]*) \|$", page, re.MULTILINE))
    for name, step in STEPS.items():
        assert re.match(rf"{name}\b", when[step.function]), step.function


def test_the_protocol_page_says_every_reason_of_a_rounds_end() -> None:
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    table = page[page.index("| reason | outcome |") : page.index("Seats only ever leave")]
    rows = [line.split(" | ")[0] for line in table.splitlines()[2:] if line.startswith("| ")]
    assert sorted(", ".join(row.removeprefix("| ") for row in rows).split(", ")) == sorted(Why)


def _contribution(function: str) -> str:
    parts = {
        "blocks:CommitKey": KeyContribution(
            public_share=ref("share"), beacon_commitment="0" * 64, sealing_key=SEALING_KEY
        ),
        "blocks:RevealKey": KeyContribution(sealed_shares=ref("sealed")),
        "blocks:TestKey": KeyContribution(test_partial=ref("partial")),
        "blocks:ConfirmKey": KeyContribution(confirmed_key=ref("key")),
        "blocks:OpenKey": KeyContribution(opened_sealing_key=SEALING_KEY),
        "blocks:BlameKey": KeyContribution(blame=BlameVote()),
    }
    return js(parts[function])
