"""Flower apps as workloads: a ClientApp runs unchanged, in an interpreter of its own.

`entry` says what a node's file names, `workload` makes a workload of it, `process` talks to the app's process, and `worker` is what
runs there. `spread` is for scores that are one number.
"""

from quorumlearn.learning.flower.entry import FlowerEntry
from quorumlearn.learning.flower.workload import (
    FlowerData,
    FlowerDefinition,
    FlowerSettings,
    FlowerWorkload,
    definition,
)

__all__ = ["FlowerData", "FlowerDefinition", "FlowerEntry", "FlowerSettings", "FlowerWorkload", "definition"]
