"""What is not allowed is refused with a code and a sentence, by the ledger or the command line, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo

import pytest
from quorumlearn.cli.terminal import Exit
from quorumlearn.gateway import CredentialError, EndorseError, EvaluateError, connect_profile, credentials
from quorumlearn.nodes.market import Market, Refused
from quorumlearn_network.identities import ROLE_ATTRIBUTE, ensure_user, existing_organisation
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import FUNDS, SEATS, TERMS, NodeThread, Stage, assert_settled, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WAITING = "waiting"
HUGE = 10**15


@pytest.fixture(scope="module")
def published(stage: Stage) -> Stage:
    """The stage with a task that waits for miners and verifiers, as nobody runs."""
    stage.publish(WAITING, timeouts={"join": 3600})
    told = stage.cli("identity", "issue", "owner/rival", "--role", "owner", "--folder", str(stage.network))
    assert told.code == 0, told.err
    return stage


def changed(stage: Stage, task: str, change: Callable[[t.TaskSpec], None]) -> t.TaskSpec:
    """The waiting task under another name, changed."""
    spec = t.TaskSpec()
    spec.CopyFrom(stage.market().task(WAITING).task.spec)
    spec.task_id = task
    change(spec)
    return spec


def _reward(amount: int) -> Callable[[t.TaskSpec], None]:
    return lambda spec: setattr(spec.reward, "per_round", amount)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_reward(FUNDS), "OVERSPENDING"),
        (_reward(0), "BAD_ARGUMENT"),
        (_reward(-1), "BAD_ARGUMENT"),
        (_reward(HUGE + 1), "BAD_ARGUMENT"),
        (_reward(2**63 - 1), "BAD_ARGUMENT"),
        (lambda spec: setattr(spec, "rounds", 0), "BAD_ARGUMENT"),
        (lambda spec: setattr(spec, "task_id", WAITING), "TASK_EXISTS"),
        (lambda spec: setattr(spec.stakes, "miner_slash", 101), "BAD_ARGUMENT"),
        (lambda spec: setattr(spec.committee, "threshold", 1), "BAD_ARGUMENT"),
        (lambda spec: spec.committee.msp_ids.append("OwnerMSP"), "BAD_ARGUMENT"),
    ],
)
def test_a_task_that_cannot_be_is_not_published(
    published: Stage, change: Callable[[t.TaskSpec], None], code: str
) -> None:
    market = published.market()
    before = market.account(published.name("owner/owner")).balance, market.totals()
    with pytest.raises(Refused) as caught:
        market.publish(changed(published, "never", change))
    assert caught.value.code == code
    assert caught.value.sentence
    with pytest.raises(Refused, match="never"):
        market.task("never")
    assert (market.account(published.name("owner/owner")).balance, market.totals()) == before


@pytest.mark.parametrize(
    ("who", "act", "code"),
    [
        ("miners1/miner1", lambda m, s: m.publish(changed(s, "never", _reward(1))), "WRONG_ORGANISATION"),
        ("verifier1/verifier", lambda m, s: m.join(WAITING), "WRONG_ORGANISATION"),
        ("owner/owner", lambda m, s: m.join(WAITING), "WRONG_ORGANISATION"),
        ("owner/owner", lambda m, s: m.mint(s.name("owner/owner"), 1), "WRONG_ORGANISATION"),
        ("miners1/miner1", lambda m, s: m.join_committee(WAITING), "WRONG_ORGANISATION"),
        ("miners1/miner1", lambda m, s: m.cancel(WAITING), "WRONG_ORGANISATION"),
        ("owner/rival", lambda m, s: m.cancel(WAITING), "NOT_THE_OWNER"),
        ("treasury/admin", lambda m, s: m.mint(s.name("owner/owner"), 0), "BAD_AMOUNT"),
        ("treasury/treasury", lambda m, s: m.mint(s.name("owner/owner"), 0), "BAD_AMOUNT"),
        ("treasury/treasury", lambda m, s: m.mint(s.name("owner/owner"), -5), "BAD_AMOUNT"),
        ("treasury/treasury", lambda m, s: m.mint(s.name("owner/owner"), HUGE + 1), "BAD_AMOUNT"),
        ("miners1/miner1", lambda m, s: m.transfer(s.name("owner/owner"), FUNDS + 1), "OVERSPENDING"),
        ("miners1/miner1", lambda m, s: m.transfer(s.name("owner/owner"), -1), "BAD_AMOUNT"),
        ("miners1/miner1", lambda m, s: m.transfer("no account", 1), "BAD_ARGUMENT"),
        ("treasury/admin", lambda m, s: m.initialise(m.config()), "ALREADY_INITIALISED"),
        ("miners1/miner1", lambda m, s: m.advance(WAITING), "NOT_DUE"),
        ("owner/owner", lambda m, s: m.challenge(WAITING, 1, "why not"), "NO_SUCH_BLOCK"),
    ],
)
def test_who_may_not_or_cannot_is_refused(
    published: Stage, who: str, act: Callable[[Market, Stage], None], code: str
) -> None:
    before = published.market().totals()
    with pytest.raises(Refused) as caught:
        act(published.market(who), published)
    assert caught.value.code == code
    assert published.market().totals() == before


class Slow(datetime):
    """A clock that is a minute behind."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Slow:
        return cls.fromtimestamp(datetime.now(tz).timestamp() - 60, tz)


def test_an_expired_certificate_is_refused_and_its_renewal_accepted(
    published: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own user's command and, where that does not look, by the peer."""
    spec = published.spec.organisation("miners1")
    organisation = existing_organisation(published.network, spec.name, spec.msp_id)
    attributes = {ROLE_ATTRIBUTE: "miner"}
    ensure_user(organisation, "late", attributes, validity=timedelta(seconds=-1))
    with pytest.raises(CredentialError, match="ran out on"):
        published.market("miners1/late")
    with monkeypatch.context() as unaware:
        unaware.setattr(credentials, "datetime", Slow)
        late = published.market("miners1/late")
    with pytest.raises(EvaluateError, match="expired"):
        late.view(WAITING)
    with pytest.raises(EndorseError, match="expired"):
        late.join(WAITING)
    told = published.on_ledger("token", "transfer", "OwnerMSP/owner", "1", who="miners1/late")
    assert (told.code, told.out) == (Exit.USAGE, "")
    assert "ran out on" in told.err
    renewed = published.cli("identity", "renew", "miners1/late", "--folder", str(published.network))
    assert renewed.code == 0, renewed.err
    told = published.on_ledger("task", "show", WAITING, who="miners1/late")
    assert told.code == 0, told.err


def test_a_certificate_of_another_organisation_is_refused(published: Stage) -> None:
    organisations = published.network / "organisations"
    msp = organisations / "miners1" / "users" / "miner1" / "msp"
    with connect_profile(organisations / "owner" / "connection.json", msp) as gateway:
        contract = gateway.network(published.spec.channel).contract(published.spec.chaincode.name)
        with pytest.raises(EvaluateError) as asked:
            contract.evaluate("blocks:View", WAITING)
        with pytest.raises(EndorseError) as submitted:
            contract.submit("rewards:Transfer", "Miners1MSP/miner1", "1")
    for caught in (asked, submitted):
        assert "OwnerMSP" in caught.value.diagnostics()


@pytest.mark.parametrize(
    ("arguments", "who", "code", "words"),
    [
        (("token", "mint", "OwnerMSP/owner=1"), "owner/owner", 4, "WRONG_ORGANISATION"),
        (("token", "mint", "OwnerMSP/owner=0"), "treasury/treasury", 4, "BAD_AMOUNT"),
        (("token", "mint", "OwnerMSP/owner=-1"), "treasury/treasury", 2, "no MSP/NAME=AMOUNT"),
        (("token", "transfer", "OwnerMSP/owner", "1000000000"), "miners1/miner1", 4, "OVERSPENDING"),
        (("task", "show", "no-such-task"), "", 4, "NO_SUCH_TASK"),
        (("task", "cancel", WAITING), "owner/rival", 4, "NOT_THE_OWNER"),
        (("task", "report", "no-such-task"), "", 4, "NO_SUCH_TASK"),
        (("task", "watch", "no-such-task"), "", 4, "NO_SUCH_TASK"),
        (("task", "challenge", WAITING, "1", "--reason", "x"), "owner/owner", 4, "NO_SUCH_BLOCK"),
        (("task", "list"), "nobody/nobody", 2, "nobody"),
        (("task", "list"), "owner", 2, "ORG/USER"),
        (("ledger", "account", "NoMSP/nobody"), "", 4, "NO_SUCH_ACCOUNT"),
        (("ledger", "tx", "ab" * 32), "", 1, "no transaction"),
        (("ledger", "block", "99999"), "", 2, "there is no block"),
    ],
)
def test_a_command_that_is_refused_says_so_in_one_sentence(
    published: Stage, arguments: tuple[str, ...], who: str, code: int, words: str
) -> None:
    told = published.on_ledger(*arguments, who=who)
    assert (told.code, told.out) == (code, "")
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert "Traceback" not in told.err


def test_tasks_that_are_none_stop_no_node_and_take_no_stake(stage: Stage, published: Stage) -> None:
    garbage = stage.store.put(b"no model")
    missing = stage.store.put(b"soon gone")
    assert stage.store.delete(missing)
    hostile: dict[str, Callable[[t.TaskSpec], None]] = {
        "hostile-workload": lambda spec: setattr(spec.workload, "name", "no-such-workload"),
        "hostile-config": lambda spec: spec.workload.config.update({"no_such_key": "1"}),
        "hostile-blocks": lambda spec: spec.workload.public_blocks.append("no-such-block"),
        "hostile-model": lambda spec: spec.initial_model.CopyFrom(garbage),
        "hostile-missing": lambda spec: spec.initial_model.CopyFrom(missing),
        "hostile-size": lambda spec: setattr(spec.ckks, "update_size", 51_153),
        "hostile-scale": lambda spec: setattr(spec.ckks, "scale_bits", 1),
        "hostile-rule": lambda spec: setattr(spec.rule, "name", "no-such-rule"),
        "hostile-parameter": lambda spec: spec.rule.parameters.update({"slack": "2"}),
    }
    miners = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
    for task, change in hostile.items():
        stage.market().publish(changed(stage, task, change))
    with running(*(NodeThread(file) for file in stage.node_files("hostile-*", miners).values())) as nodes:
        stage.publish("hostile-not", rounds=1)
        stage.played("hostile-not", nodes)
        for node in nodes:
            node.check()
    assert_settled(stage, "hostile-not", [*miners, *(f"{seat}/verifier" for seat in SEATS)])
    for task in hostile:
        view = stage.market().view(task)
        assert (list(view.miners), list(view.seats)) == ([], []), task
        stage.market().cancel(task)
        assert stage.market().task(task).state.status == t.CANCELLED


def test_a_task_whose_training_diverges_ends_and_leaves_the_node_running(stage: Stage) -> None:
    task = "diverging"
    miners = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
    files = stage.node_files(task, miners, accept={**TERMS, "largest_learning_rate": 10})
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(
            task,
            rounds=1,
            workload={
                "name": "mnist-cnn",
                "config": {"learning_rate": "10.0", "momentum": "0.9", "epochs": "3"},
            },
            timeouts={"commit": 10},
        )
        view = stage.played(task, nodes)
    assert (view.state.status, view.round.reason) == (t.COMPLETED, "TOO_FEW_COMMITS")
    assert stage.market().escrow(task).refunded == 1000
