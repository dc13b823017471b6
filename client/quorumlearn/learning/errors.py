"""What can go wrong in learning, one type for each thing a caller can do about it."""

from __future__ import annotations


class LearningError(Exception):
    """Base of all errors of this package."""


class WorkloadError(LearningError):
    """No workload of that name, or a configuration it refuses: correct the task."""


class LibraryMissing(WorkloadError):
    """A workload whose library is not installed: install the extra that the sentence names."""


class ModelError(LearningError):
    """A model, update or block that does not fit: bytes refused, wrong names, shapes or numbers."""


class TrainingError(LearningError):
    """Training could not be done on this data, or ended in numbers that are not finite."""


class WrongTie(LearningError):
    """A log of near ties that no honest training left: the training that it belongs to is wrong."""


class ScoreError(LearningError):
    """A metric says nothing of this data: no samples, one class only, values that are all equal."""


class DataMissing(LearningError):
    """A data set's files are not where they were said to be."""


class DataCorrupt(LearningError):
    """A data set's files are there, but are not what they claim to be."""


class ShardError(LearningError):
    """A division of a data set that cannot be made, or a text that names none."""
