"""A task's rounds in MLflow or TensorBoard: one run, or one folder, each time that a task is watched.

Where: `mlflow` (where MLflow itself looks: MLFLOW_TRACKING_URI), `mlflow:URI`, or `tensorboard:FOLDER`. Both need the extra `track`.
What: `figures` of each round, the round's number as the step. Nothing leaves that is not on the ledger, and MLflow's own reports to its
makers are switched off.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from quorumlearn import extras
from quorumlearn.api.rounds import Round, TaskStatus

EXPERIMENT = "quorumlearn"
PLACES = "mlflow, mlflow:URI or tensorboard:FOLDER"


class TrackError(RuntimeError):
    """Where metrics were to go takes none, or is no such place."""


class Tracker(Protocol):
    """What is told of each round."""

    def log(self, round_: Round) -> None:
        """TrackError if it cannot be written."""
        ...


def figures(round_: Round) -> dict[str, float]:
    """What is followed of a round, by name; a score only if somebody scored."""
    found = {f"seconds/{phase.lower()}": seconds for phase, seconds in round_.seconds.items()}
    found |= {
        "accepted": float(round_.outcome == "ACCEPTED"),
        "contributing": float(round_.contributing),
        "rejected": float(len(round_.verdicts) - round_.contributing),
        "seconds/all": sum(round_.seconds.values()),
    }
    return found if round_.score is None else found | {"score": round_.score}


def checked(place: str) -> tuple[str, str]:
    """The kind of a place and where it is; TrackError for another, ExtraMissing without what it needs."""
    kind, _, where = place.partition(":")
    if kind not in ("mlflow", "tensorboard") or (kind == "tensorboard" and not where):
        raise TrackError(f"{place!r} is no place for metrics: {PLACES}")
    extras.require(kind, f"tracking to {'MLflow' if kind == 'mlflow' else 'TensorBoard'}")
    return kind, where


@contextmanager
def tracking(place: str, task: TaskStatus) -> Iterator[Tracker]:
    """A tracker of this task while the block runs."""
    kind, where = checked(place)
    with _mlflow(where, task) if kind == "mlflow" else _tensorboard(where, task) as tracker:
        yield tracker


class _MlflowRun:
    def __init__(self, where: str, task: TaskStatus) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        self._failure: type[Exception] = MlflowException
        self._shown = f"MLflow{f' at {_without_password(where)}' if where else ''}"
        with self._told():
            self._client = MlflowClient(tracking_uri=where or None)
            known = self._client.get_experiment_by_name(EXPERIMENT)
            experiment = known.experiment_id if known else self._client.create_experiment(EXPERIMENT)
            tags = {
                f"quorumlearn.{name}": getattr(task, name) for name in ("task", "title", "owner", "workload")
            }
            run = self._client.create_run(experiment, run_name=task.task, tags=tags)
            self._run = run.info.run_id

    def log(self, round_: Round) -> None:
        with self._told():
            for name, value in figures(round_).items():
                self._client.log_metric(self._run, name, value, step=round_.number)

    def end(self, status: str) -> None:
        with self._told():
            self._client.set_terminated(self._run, status)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._failure as error:
            raise TrackError(f"{self._shown} takes no metrics: {str(error).splitlines()[0]}") from error


@contextmanager
def _mlflow(where: str, task: TaskStatus) -> Iterator[Tracker]:
    run = _MlflowRun(where, task)
    try:
        yield run
    except BaseException as error:
        if not isinstance(error, TrackError):
            run.end("KILLED")
        raise
    run.end("FINISHED")


class _TensorBoardFolder:
    def __init__(self, folder: str) -> None:
        from tensorboard.summary import Writer

        self._folder = folder
        with self._told():
            self._writer = Writer(folder)

    def log(self, round_: Round) -> None:
        with self._told():
            for name, value in figures(round_).items():
                self._writer.add_scalar(name, value, step=round_.number)
            self._writer.flush()

    def close(self) -> None:
        with self._told():
            self._writer.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrackError(
                f"TensorBoard's folder {self._folder} takes no metrics: {error.strerror}"
            ) from error


@contextmanager
def _tensorboard(where: str, task: TaskStatus) -> Iterator[Tracker]:
    folder = _TensorBoardFolder(os.path.join(where, task.task))  # noqa: PTH118  (a URL will do, too)
    try:
        yield folder
    finally:
        folder.close()


def _without_password(uri: str) -> str:
    head, slashes, rest = uri.partition("://")
    return head + slashes + rest.rpartition("@")[2]
