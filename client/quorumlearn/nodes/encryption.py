"""A task's encryption parameters between the ledger's record and `quorumlearn.ckks`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto.task_pb2 import CkksParameters, TaskSpec

from quorumlearn import ckks


def parameters_of(spec: TaskSpec) -> ckks.Parameters:
    """What the task's record says, checked; ckks.ParameterError if it does not hold together."""
    record = spec.ckks
    parameters = ckks.Parameters(
        poly_modulus_degree=record.poly_modulus_degree,
        coeff_modulus_bits=tuple(record.coeff_modulus_bits),
        scale_bits=record.scale_bits,
        sign_scale_bits=record.sign_scale_bits,
        step_bits=record.step_bits,
        bound_steps=record.bound_steps,
        max_weight_sum=record.max_weight_sum,
        flooding_bits=record.flooding_bits,
        sketch_size=record.sketch_size,
        update_size=record.update_size,
        seats=len(spec.committee.msp_ids),
        threshold=spec.committee.threshold,
    )
    parameters.check()
    return parameters


def clipped(update: NDArray[np.floating[Any]], parameters: ckks.Parameters) -> int:
    """How many values of an update, in its own units, quantising takes back to the bound."""
    return int(np.count_nonzero(np.abs(update) > parameters.bound_steps * 2.0**-parameters.step_bits))


def record_of(parameters: ckks.Parameters) -> CkksParameters:
    """The ledger's record of the parameters (the committee's numbers stand in the task itself)."""
    return CkksParameters(
        poly_modulus_degree=parameters.poly_modulus_degree,
        coeff_modulus_bits=parameters.coeff_modulus_bits,
        scale_bits=parameters.scale_bits,
        sign_scale_bits=parameters.sign_scale_bits,
        step_bits=parameters.step_bits,
        bound_steps=parameters.bound_steps,
        max_weight_sum=parameters.max_weight_sum,
        flooding_bits=parameters.flooding_bits,
        sketch_size=parameters.sketch_size,
        update_size=parameters.update_size,
    )


def polynomial_bytes(parameters: ckks.Parameters, count: int = 1) -> int:
    """At least as many bytes as `count` polynomials over all primes take: a limit for what is read."""
    return parameters.poly_modulus_degree * sum(parameters.coeff_modulus_bits) // 8 * count


def common_seed(task: str, number: int, attempt: int) -> bytes:
    """What the common polynomial of a round's ceremony is expanded from."""
    return f"quorumlearn/common-polynomial/{task}/{number}/{attempt}".encode()
