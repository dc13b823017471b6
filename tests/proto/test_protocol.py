"""The table of steps is whole: every phase and step stands in it, leads somewhere, and names what records and timeouts have."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from quorumlearn_proto.block_pb2 import CeremonyStep, Phase
from quorumlearn_proto.protocol import (
    CARRIED,
    CEREMONY,
    OF_MINERS,
    OF_SEATS,
    ROUND,
    STEPS,
    Actor,
    KeyStep,
    RoundStep,
)
from quorumlearn_proto.task_pb2 import Timeouts

ROOT = Path(__file__).parents[2]
ENDS_OF_CEREMONY = {CeremonyStep.KEY_READY, CeremonyStep.KEY_FAILED}


def test_the_tables_name_every_phase_and_step_in_the_ledgers_order() -> None:
    assert list(ROUND) == sorted(set(Phase.values()) - {Phase.PHASE_UNSPECIFIED, Phase.ENDED})
    assert list(CEREMONY) == sorted(
        set(CeremonyStep.values()) - ENDS_OF_CEREMONY - {CeremonyStep.CEREMONY_STEP_UNSPECIFIED}
    )


def test_every_phase_and_step_is_led_to_and_leads_to_an_end() -> None:
    to_phases = {phase for step in ROUND.values() for phase in step.leads_to}
    assert to_phases == {*ROUND, Phase.ENDED} - {Phase.KEY}
    to_steps = {place for step in CEREMONY.values() for place in step.leads_to}
    assert to_steps == {*CEREMONY, *ENDS_OF_CEREMONY}
    assert all(CeremonyStep.KEY_FAILED in step.leads_to for step in CEREMONY.values())
    assert all(Phase.ENDED in step.leads_to for step in ROUND.values())


def test_all_going_well_a_round_takes_every_phase_and_a_ceremony_four_steps() -> None:
    phase, phases = Phase.KEY, [Phase.KEY]
    while phase in ROUND:
        phase = ROUND[phase].next
        phases.append(phase)
    assert phases == [*ROUND, Phase.ENDED]
    step, steps = CeremonyStep.KEY_COMMIT, [CeremonyStep.KEY_COMMIT]
    while step in CEREMONY:
        step = CEREMONY[step].next
        steps.append(step)
    assert steps == [*(step.at for step in CARRIED.values()), CeremonyStep.KEY_READY]


def test_every_timeout_bounds_a_step_or_the_start() -> None:
    assert {step.timeout for step in STEPS.values()} | {"join"} == set(Timeouts.DESCRIPTOR.fields_by_name)
    assert ROUND[Phase.SCREEN].seconds(Timeouts(screen=7)) == 7
    assert CEREMONY[CeremonyStep.KEY_BLAME].seconds(Timeouts(key=9)) == 9


def test_each_function_is_one_steps() -> None:
    assert len({step.function for step in STEPS.values()}) == len(STEPS) == len(ROUND) - 1 + len(CEREMONY)
    assert {step.actor for step in STEPS.values()} == OF_MINERS | OF_SEATS
    assert ROUND[Phase.KEY].actor is Actor.NOBODY


def test_a_round_has_a_step_for_each_of_the_next_keys() -> None:
    carriers = [step for step in ROUND.values() if step.carries]
    assert len(carriers) >= len(CARRIED)
    assert all(step.actor is Actor.SEATS for step in carriers)


@pytest.mark.parametrize("room", ["chaincode/quorumlearn_chaincode/contracts", "client/quorumlearn/nodes"])
def test_contracts_and_nodes_spell_no_function_of_a_step_again(room: str) -> None:
    spelled = {name for step in STEPS.values() for name in (step.call, step.function)}
    for path in sorted((ROOT / room).rglob("*.py")):
        texts = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not texts & spelled, path


@pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
def test_a_part_is_done_by_any_of_its_fields_and_by_nothing_else(step: RoundStep | KeyStep) -> None:
    assert step.record is not None
    assert not step.done(None)
    assert step.done(step.record()) == (not step.fields)
    for field in step.record.DESCRIPTOR.fields:
        record = step.record()
        if field.message_type is not None and field.label != field.LABEL_REPEATED:  # type: ignore[union-attr]
            getattr(record, field.name).SetInParent()
        elif field.type == field.TYPE_STRING and field.label != field.LABEL_REPEATED:  # type: ignore[union-attr]
            setattr(record, field.name, "x")
        elif field.type == field.TYPE_BYTES:
            setattr(record, field.name, b"x")
        else:
            continue
        assert step.done(record) == (not step.fields or field.name in step.fields), field.name
    assert set(step.fields) <= set(step.record.DESCRIPTOR.fields_by_name)
