"""Our own of torch's optimisers: what a user's `torch.optim` object says, read once, as rules of `optimisers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from quorumlearn.learning.errors import WorkloadError
from quorumlearn.learning.exact.optimisers import Adam, Rule, Sgd


def rules_of(
    workload: str, optimiser: torch.optim.Optimizer, parameters: Mapping[str, Tensor]
) -> dict[str, Rule | None]:
    """The rule of each parameter, None for one that is in none of its groups. WorkloadError for an optimiser that has no exact form."""
    names = {id(one): name for name, one in parameters.items()}
    rules: dict[str, Rule | None] = dict.fromkeys(parameters)
    for group in optimiser.param_groups:
        rule = _rule(workload, optimiser, group)
        for one in group["params"]:
            name = names.get(id(one))
            if name is None:
                raise WorkloadError(
                    f"{workload}: the optimiser moves a tensor that is no parameter of the module; give it the parameters that it is "
                    "called with"
                )
            rules[name] = rule
    return rules


def _rule(workload: str, optimiser: torch.optim.Optimizer, group: Mapping[str, Any]) -> Rule:
    if type(optimiser) is torch.optim.SGD:
        return Sgd(
            float(group["lr"]),
            float(group["momentum"]),
            float(group["dampening"]),
            float(group["weight_decay"]),
            bool(group["nesterov"]),
            bool(group["maximize"]),
        )
    if type(optimiser) in (torch.optim.Adam, torch.optim.AdamW):
        first, second = group["betas"]
        return Adam(
            float(group["lr"]),
            (float(first), float(second)),
            float(group["eps"]),
            float(group["weight_decay"]),
            bool(group["amsgrad"]),
            type(optimiser) is torch.optim.AdamW or bool(group.get("decoupled_weight_decay")),
            bool(group["maximize"]),
        )
    raise WorkloadError(
        f"{workload}: {type(optimiser).__name__} has no exact form; take torch.optim.SGD, Adam or AdamW, or publish a task of mode robust"
    )
