"""The same identities in any task: also in one whose trainings are replayed, or confirmed by replicas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from quorumlearn_chaincode.runtime import Response
from quorumlearn_proto.block_pb2 import (
    Authorisation,
    KeyContribution,
    Manifest,
    Phase,
    Reason,
    Selection,
    Verdict,
    WorkProof,
)
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.derived import beacon_commitment
from quorumlearn_proto.page_pb2 import AuthorisationPage
from quorumlearn_proto.recompute import (
    drawn_items,
    most_steps,
    recomputes,
    replayers,
    replays,
    seats_of_profile,
)
from quorumlearn_proto.task_pb2 import Exactness, Recompute, TaskSpec, VerificationMode
from quorumlearn_proto.work import share_due

from tests.chaincode.contracts.market_actors import (
    OWNER,
    SEALING_KEY,
    TASK,
    TIMEOUT_S,
    Play,
    js,
    ref,
    sha,
    spec,
)

DATA = ref("data manifest", 500)


def recompute(**changes: object) -> Recompute:
    """2 of 20 chunks for each miner, 10 steps a chunk, 3 segments of 5 steps drawn."""
    asked = {
        "data": DATA,
        "chunks": 20,
        "chunk_samples": 100,
        "chunks_per_miner": 2,
        "chunk_steps": 10,
        "segment_steps": 5,
        "segments": 3,
        "exactness": Exactness.PORTABLE,
        "grid_bits": 20,
        "replicas": 1,
    }
    asked |= changes
    if asked["exactness"] == Exactness.PROFILE and "grid_bits" not in changes:
        asked["grid_bits"] = 0
    return Recompute(**asked)  # type: ignore[arg-type]


def recompute_spec(asked: Recompute | None = None, **changes: object) -> TaskSpec:
    """As `spec`, its trainings replayed unless its data are sealed from the seats; the rule is plain averaging."""
    made = spec()
    made.rule.name, made.mode = "mean", VerificationMode.RECOMPUTE
    made.recompute.CopyFrom(asked or recompute())
    if made.recompute.replicas > 1:
        made.min_miners = made.max_miners  # so that there are two teams of two at least
    if replays(made):
        made.timeouts.trace = made.timeouts.replay = TIMEOUT_S
    made.MergeFrom(TaskSpec(**changes))  # type: ignore[arg-type]
    return made


def start_secret(seat: int, number: int) -> str:
    return sha(f"start {seat} {number}")


class RecomputePlay(Play):
    """Everybody's moves; team mates do the same work. What is not as usual stands in the attributes."""

    def __init__(self, seats: int = 3, miner_count: int = 4) -> None:
        super().__init__(seats, miner_count)
        self.prepare()

    def prepare(self) -> None:
        self.asked = recompute_spec()
        self.profiles: dict[int | str, str] = {}
        """Other numeric profiles than everybody's, by seat or miner."""
        self.steps: dict[str, int] = {}
        """Of miners that do less than all."""
        self.roots: dict[str, str] = {}
        """Of miners whose work is another than their team's."""

    def publish(self, task: TaskSpec | None = None) -> None:
        self.asked = task or recompute_spec()
        super().publish(self.asked)

    def profile(self, who: int | str) -> str:
        exact = self.asked.recompute.exactness == Exactness.PROFILE
        return self.profiles.get(who, sha("profile")) if exact else ""

    def key_parts(self, seat: int, number: int, key: str) -> dict[str, KeyContribution]:
        parts = super().key_parts(seat, number, key)
        if recomputes(self.asked):
            secret = start_secret(seat, number)
            parts["CommitKey"].start_commitment = beacon_commitment(bytes.fromhex(secret))
            parts["CommitKey"].profile = self.profile(seat) if replays(self.asked) else ""
            parts["ConfirmKey"].start = secret
        return parts

    def manifest(self, who: str, **changes: object) -> Manifest:
        if not recomputes(self.asked):
            return super().manifest(who, **changes)
        made = super().manifest(who)
        teams = self.round().teams
        team = next((number for number, one in enumerate(teams) if who in one.miners), 0)
        made.trace_root = self.roots.get(who, sha(f"trace of team {team} {made.round}"))
        made.steps = self.steps.get(who, most_steps(self.asked))
        made.profile = self.profile(who)
        made.MergeFrom(Manifest(**changes))  # type: ignore[arg-type]
        return made

    def ask_authorisations(self) -> list[Authorisation]:
        """All of the task."""
        return list(self.ask(AuthorisationPage, "blocks:Authorisations", TASK, "100", "").authorisations)

    def show_key(self, who: str, key: bytes = SEALING_KEY) -> Response:
        return self.send(who, "tasks:ShowKey", TASK, key.hex())

    def grant(self, keys: str = "keys", who: str = OWNER) -> Response:
        return self.send(who, "blocks:Grant", TASK, str(self.round().number), js(ref(keys)))

    def trace(self, who: Sequence[str] | None = None) -> None:
        number = str(self.round().number)
        revealed = [one.miner for one in self.view().submissions if one.HasField("manifest")]
        for miner in revealed if who is None else who:
            self.send(miner, "blocks:OpenTrace", TASK, number, js(self.opening(miner)))

    def opening(self, who: str) -> ArtifactRef:
        return ref(f"opening of {who} {self.round().number}")

    def replay(self, seats: Sequence[int] | None = None) -> None:
        number = str(self.round().number)
        for seat in seats or list(self.round().seats):
            self.send(self.seats[seat], "blocks:PostReplay", TASK, number, js(ref(f"report {seat}")))

    def moves(self) -> dict[Phase, Callable[[], object]]:
        return {
            **super().moves(),
            Phase.TRACE: lambda: (self.trace(), self.advance()),
            Phase.REPLAY: self.replay,
        }

    def selection(
        self, weights: Mapping[str, int] | None = None, fault: Reason = Reason.OUTLIER
    ) -> Selection:
        """Of each team the first that is still judged contributes, with its weight in `weights` or 1; the others are its replicas."""
        view = self.view()
        judged = super().selection(weights, fault)
        if not recomputes(self.asked):
            return judged
        submitted = {one.miner: one for one in view.submissions}
        firsts: dict[tuple[int, str, int], Verdict] = {}
        for verdict in judged.verdicts:
            one = submitted.get(verdict.miner)
            if one is None or not one.HasField("manifest"):
                continue
            if replays(self.asked) and not one.HasField("opening"):
                verdict.CopyFrom(Verdict(miner=verdict.miner, reason=Reason.NO_TRACE))
            if verdict.reason == Reason.WRONG_WORK:
                verdict.proof.CopyFrom(self.proof(verdict.miner))
            if not verdict.weight:
                continue
            steps = one.manifest.steps
            team = next(n for n, team in enumerate(view.round.teams) if verdict.miner in team.miners)
            first = firsts.setdefault((team, one.manifest.trace_root, steps), verdict)
            if first is verdict:
                verdict.share = share_due(self.asked, verdict.weight, steps)
            else:
                verdict.weight, verdict.reason = 0, Reason.REPLICA
                verdict.share = first.share or first.weight
        return judged

    def items(self, who: str) -> list[int]:
        """What is drawn of a miner's training."""
        return drawn_items(self.asked, self.round().beacon, who, self.manifest(who).steps)

    def proof(self, who: str, item: int | None = None) -> WorkProof:
        """That the lowest item drawn of a miner's training, or this one, is wrong."""
        chosen = self.items(who)[0] if item is None else item
        ceremony = next(one for one in self.view().ceremonies if one.round == self.round().number)
        profiles = {seat: self.profile(seat) for seat in ceremony.seats}
        able = seats_of_profile(self.asked, self.profile(who), profiles)
        seats = replayers(self.round().beacon, who, chosen, able, self.asked.committee.threshold)
        return WorkProof(item=chosen, claimed=sha("claimed"), replayed=sha("replayed"), seats=seats)

    def wrong_work(self, who: str, **changes: object) -> Selection:
        """The honest selection, but for one miner's work, which is wrong."""
        chosen = self.selection({other: 1 for other in self.round().miners if other != who})
        verdict = next(one for one in chosen.verdicts if one.miner == who)
        verdict.CopyFrom(Verdict(miner=who, reason=Reason.WRONG_WORK, proof=self.proof(who)))
        verdict.proof.MergeFrom(WorkProof(**changes))  # type: ignore[arg-type]
        return chosen
