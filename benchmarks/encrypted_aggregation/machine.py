"""Where and when a figure was taken: a cell keeps it, so that a report made later names the right commit and load."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def machine() -> str:
    """Processor, cores, load and date: what every figure depends on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    return f"{model}, {os.cpu_count()} cores, {load}, Python {platform.python_version()}, {_commit()}{date}"


def _commit() -> str:
    """The commit, and `+` if files of the checkout differ from it."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--exclude=*", "--dirty=+"],
            capture_output=True,
            text=True,
            check=False,
            cwd=here,
        )
    except OSError:
        return ""
    return f"commit {found.stdout.strip()}, " if found.returncode == 0 else ""
