"""Where data sets are on this machine: one setting for all of them, the environment variable QUORUMLEARN_DATA.

It names a folder that holds a folder for each data set, called as the set is: `mnist`, `heart`, `sms`. The folder of one set may be named
as well; it is then that set's, and its neighbours are looked for beside it.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "QUORUMLEARN_DATA"


def data_folder(name: str) -> Path | None:
    """The folder of the data set `name`; None if the variable is not set, or leads to none."""
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    root = Path(named)
    candidates = [root / name, root.parent / name]
    return next((one for one in candidates if one.is_dir()), None)
