"""Fabric's official Node packages, installed once with npm into a folder of the user's cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent / "node"
OLDEST_NODE = (20, 9)
MODULES = "NODE_PATH"
_INSTALL_S = 600
_UNREACHABLE = (
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
    "ENOTCACHED",
)


def why_not() -> str | None:
    """Why there is no Node here to run them, or None."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return f"no executable {'node' if node is None else 'npm'} on the PATH"
    said = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout
    numbers = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if numbers < OLDEST_NODE:
        return f"Node {said.strip()} is older than {'.'.join(map(str, OLDEST_NODE))}, which the packages need"
    return None


def installed() -> Path | str:
    """The folder `node_modules`, or why npm could not reach what it needs.

    Any other failure of npm is a CalledProcessError.
    """
    wanted = (SOURCES / "package.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quorumlearn"
    folder = cache / f"node-{hashlib.sha256(wanted).hexdigest()[:16]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as making:
            made = Path(making) / "made"
            made.mkdir()
            (made / "package.json").write_bytes(wanted)
            command = ["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=made, check=False, capture_output=True, text=True, timeout=_INSTALL_S
            )
            if done.returncode != 0:
                codes = [code for code in _UNREACHABLE if code in done.stderr]
                if codes:
                    return f"npm cannot reach its registry ({codes[0]})"
                raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
            try:
                made.rename(folder)
            except OSError:
                if not folder.exists():  # else another run was faster
                    raise
    return folder / "node_modules"
