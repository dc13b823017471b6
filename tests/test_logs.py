"""Every program's log as JSON: one object a line with timestamp, level and event, whatever is logged and by which library."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAMS = {
    "node": """\
from quorumlearn.cli.logs import log_to_stderr
import logging, structlog
log_to_stderr(False)
structlog.get_logger().info("node starts", tasks=["mnist-*"])
log = logging.getLogger("fsspec")
""",
    "devnet": """\
from quorumlearn_network.devnet.logs import FORM, log_to_stderr
import logging, os
log_to_stderr("INFO", os.environ.get(FORM, ""))
log = logging.getLogger("devnet")
""",
    "chaincode": """\
from quorumlearn_chaincode.runtime.logs import FORM, log_to_stderr
import logging, os
log_to_stderr("INFO", os.environ.get(FORM, ""))
log = logging.getLogger("chaincode")
""",
}
LIBRARY = """
log.warning("a line\\nand %s", "a second")
try:
    raise ValueError("no \\u2713")
except ValueError:
    log.exception("it failed")
"""


def logged(program: str, form: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAMS[program] + LIBRARY],
        env={**os.environ, "QUORUMLEARN_LOG": form},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_line_is_an_object_that_says_when_how_grave_and_what(program: str) -> None:
    done = logged(program, "json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    for line in lines:
        assert {"timestamp", "level", "event"} <= line.keys()
    assert [(one["level"], one["event"]) for one in lines[-2:]] == [
        ("warning", "a line\nand a second"),
        ("error", "it failed"),
    ]
    assert "ValueError: no ✓" in lines[-1]["exception"]
    assert lines[-1]["logger"] in {"fsspec", "devnet", "chaincode"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_it_the_log_is_for_people(program: str) -> None:
    done = logged(program, "")
    assert done.returncode == 0, done.stderr
    assert "and a second" in done.stderr
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.stderr.splitlines()[0])


def test_a_form_that_there_is_not_is_refused() -> None:
    done = logged("node", "xml")
    assert "QUORUMLEARN_LOG='xml': there is text, and json" in done.stderr
