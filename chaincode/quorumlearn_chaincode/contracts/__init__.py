"""The three contracts of QuorumLearn's market: `rewards`, `tasks` and `blocks`.

`chaincode` is what the runtime serves. docs/protocol.md says what every function does; `Code` is what a
refusal, `[CODE] sentence`, can be about.

Where each rule stands:
- which steps there are, who acts in them and what follows: quorumlearn_proto.protocol, which nodes read too; what both sides must
  derive alike from records: quorumlearn_proto.derived
- who may call what: market (table of functions, roles), standing (seat, round, phase), configuration
- when a step closes and what follows: ceremony, phases (pure); rounds applies them, settlement ends rounds and tasks
- whose seat is whose: committee; what a seat did wrong and what it costs: misconduct; t words against one: accusations
- what may be decrypted: authorisation; what a task may ask for: specification
- who is paid: payment; every movement of tokens: tokens; what is reverted: challenges; what is drawn: beacon
- keys and records: tables, ledger; what is read in one message: reads; one transaction: call; strict parsing: arguments
"""

from .dispatch import FUNCTIONS, Function, Market
from .errors import Code, Refusal

chaincode = Market()

__all__ = ["FUNCTIONS", "Code", "Function", "Market", "Refusal", "chaincode"]
