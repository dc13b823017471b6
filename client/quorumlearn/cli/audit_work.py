"""What `quorumlearn analyse economics --audit` prints."""

from __future__ import annotations

from quorumlearn.analysis import AuditReport, audits, segments
from quorumlearn.cli.terminal import print_table, print_text


def print_audit(of: AuditReport) -> None:
    draw = of.draw
    print_text(
        f"{of.task}: {of.rounds} rounds; {'' if of.asked else 'as if '}{draw.drawn} of {draw.segments} segments of each training"
        f" {'are' if of.asked else 'were'} replayed, each by {draw.replayers} of {draw.seats} seats, {draw.league} in league with a cheat"
    )
    _print_miners(of)
    print_text("")
    _print_verification(of)
    print_text("")
    _print_seats(of)


def _print_miners(of: AuditReport) -> None:
    side, draw = of.miners, of.draw
    print_text(
        f"a miner is paid {side.pay:.1f} a round, and a training costs {of.costs.training:.1f}; "
        f"wrong work costs the round's pay and a slash of {side.slash}, no opening the pay and the place"
    )
    print_text("")
    rows = [
        (
            _percent(one.share),
            one.wrong,
            _chance(one.found),
            _chance(one.found_with_repeats),
            _chance(one.found_in_task),
            f"{one.saved:.1f}",
            f"{one.a_round:+.1f}",
            f"{one.opened:+.1f}",
            f"{one.task:+.1f}",
        )
        for one in side.skipping
    ]
    columns = (
        "skipped",
        "wrong",
        "found a round",
        "1-(1-p)^q",
        "in the task",
        "saved",
        "gains a round",
        "if it opens",
        "the task",
    )
    print_table(columns, rows)
    print_text("")
    if side.fewest_drawn is None:
        print_text("honesty is not the best answer, however much is drawn", style="yellow")
    else:
        print_text(f"honesty is the best answer from {_count(side.fewest_drawn, 'segment')} drawn a round on")
    print_text(
        f"  at {draw.drawn} drawn: from a pay of {side.smallest_pay:.1f} tokens a round on; for who opens wrong work all the same, "
        f"from a slash of {_count(side.smallest_slash, 'token')} on"
    )
    goal = f"{_percent(segments.GOAL_CHANCE)} of those who skip {_percent(segments.GOAL_SHARE)} or more"
    rounds = _count(of.rounds, "round")
    if side.fewest_drawn_to_find is None:
        print_text(f"{goal} are not found within {rounds}, however much is drawn", style="yellow")
    else:
        print_text(
            f"{goal} are found within {rounds} from {_count(side.fewest_drawn_to_find, 'segment')} drawn a round on"
        )


def _print_verification(of: AuditReport) -> None:
    most = _percent(audits.GOAL_VERIFICATION)
    found = of.verification
    share = (
        "" if found.share is None else f" is {100 * found.share:.1f} % of training, summed over all seats:"
    )
    print_text(f"verification{share or ' costs all seats'} {found.tokens:.1f} tokens a round")
    if of.enough_segments is not None:
        print_text(f"  at most {most}, if a training is cut into {of.enough_segments} segments or more")


def _print_seats(of: AuditReport) -> None:
    side = of.seats
    print_text(
        f"a seat is paid {side.pay:.1f} a round; it replays {side.segments:.1f} segments, which costs {side.replays:.1f}; "
        f"a receipt that is made up costs the round's pay and a slash of {side.slash}"
    )
    print_text("")
    rows = [
        (
            _percent(one.others),
            _percent(one.share),
            _chance(one.each),
            _chance(one.found),
            _chance(one.found_in_task),
            f"{one.saved:.1f}",
            f"{one.a_round:+.1f}",
            f"{one.task:+.1f}",
        )
        for one in side.lazy
    ]
    columns = (
        "others replay",
        "skipped",
        "found a replay",
        "a round",
        "in the task",
        "saved",
        "gains a round",
        "the task",
    )
    print_table(columns, rows)
    print_text("")
    if side.fewest_honest is None:
        print_text("to replay is not the best answer, whatever others do", style="yellow")
    else:
        print_text(
            f"to replay is the best answer, if each other seat replays {100 * side.fewest_honest:.2f} % or more"
        )
    if side.receipts:
        print_text(
            f"  receipts find who does not: the further replayers cost {100 * side.receipts:.1f} % of training"
        )
    goal = f"to find {_percent(segments.GOAL_CHANCE)} of seats that skip {_percent(segments.GOAL_SHARE)}"
    print_text(
        f"  planted wrong segments instead: {_planted(side.planted.deters)} of all that is trained for laziness to gain nothing, "
        f"{_planted(side.planted.finds)} {goal}"
    )
    print_text(
        f"  the same with one replayer: {_planted(side.planted_alone.deters)} and {_planted(side.planted_alone.finds)}"
    )


def _planted(share: float | None) -> str:
    return "more than all" if share is None else f"{100 * share:.2f} %"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _chance(chance: float) -> str:
    return f"{100 * chance:.1f} %"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
