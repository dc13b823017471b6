"""The three contracts of QuorumLearn's market: `rewards`, `tasks` and `blocks`.

`chaincode` is what the runtime serves. docs/protocol.md says what every function does; `Code` is what a
refusal, `[CODE] sentence`, can be about.
"""

from .errors import Code, Refusal
from .market import FUNCTIONS, Function, Market

chaincode = Market()

__all__ = ["FUNCTIONS", "Code", "Function", "Market", "Refusal", "chaincode"]
