"""`python -m benchmarks` lists the benchmarks; `python -m benchmarks --quick` runs the short form of each, one after the other.

Each is a module of its own, run as `python -m benchmarks.NAME [--quick] [--json]`, and prints medians with the machine and the date.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path


def names() -> list[str]:
    """The benchmarks there are: the packages beside this file that can be run."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/__main__.py"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run the short form of each")
    quick = parser.parse_args().quick
    worst = 0
    for name in names():
        about = (importlib.import_module(f"benchmarks.{name}").__doc__ or "").strip().splitlines()[0]
        sys.stdout.write(f"python -m benchmarks.{name}  {about}\n")
        sys.stdout.flush()
        if quick:
            worst = max(
                worst,
                subprocess.run(
                    [sys.executable, "-m", f"benchmarks.{name}", "--quick"], check=False
                ).returncode,
            )
    return worst


if __name__ == "__main__":
    sys.exit(main())
