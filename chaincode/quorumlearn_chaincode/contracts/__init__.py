"""The three contracts of QuorumLearn's market: `rewards`, `tasks` and `blocks`.

`chaincode` is what the runtime serves. docs/protocol.md says what every function does; `Code` is what a
refusal, `[CODE] sentence`, can be about.

Where each rule stands, by file:
- which steps there are, who acts in them and what follows: quorumlearn_proto.protocol, which nodes read too; what both sides must
  derive alike from records: quorumlearn_proto.derived
- which functions there are, and who may call them: `dispatch` (table of functions, roles), `standing` (seat, round, phase), `configuration`
- what the functions do, by contract: `rewards`, `tasks`, `blocks` with `ballots` and `replays`, and `contributions` for a key's steps;
  their queries: `views`
- when a step closes and what follows: `ceremony`, `phases` (pure); `rounds` applies them, `settlement` ends rounds and tasks
- who has a place among a round's miners: `miners_queue`
- whose seat is whose: `seats`; what a seat did wrong and what it costs: `misconduct`, what a miner did: `verdicts`; t words against one:
  `accusations`; what each of it costs: quorumlearn_proto.penalties
- what may be decrypted: `authorisation`; what a task may ask for: `specification`, of its rule: `rule_parameters`, of trainings that are
  replayed: `recompute_settings`
- who trains on what and who replays what: quorumlearn_proto.recompute; what a selection may say of it: quorumlearn_proto.work
- who is paid: `payment`; every movement of tokens: `tokens`; what is reverted: `challenges`; who proposes: `lottery`
- keys and records: `tables`; who must endorse a change of them: `ledger`, which writes them; what is read in one message: `reads`
- one transaction: `call`; strict parsing: `arguments`; every code of a refusal: `errors`
"""

from .dispatch import FUNCTIONS, Function, Market
from .errors import Code, Refusal

chaincode = Market()

__all__ = ["FUNCTIONS", "Code", "Function", "Market", "Refusal", "chaincode"]
