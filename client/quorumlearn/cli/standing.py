"""What the ledger says of a node's identities: whether the peer answers, which chaincode it serves, what each account holds."""

from __future__ import annotations

from dataclasses import dataclass

from quorumlearn_proto.version import VERSION

from quorumlearn.nodes.market import Market, Refused
from quorumlearn.nodes.organisation import Organisation


@dataclass(frozen=True)
class Standing:
    """`chaincode` is "" where it says no version, as before 0.1.0; `balances` are tokens by account."""

    peer: str
    chaincode: str
    balances: dict[str, int]

    @property
    def differs(self) -> str | None:
        """A sentence, if node and chaincode are of different versions; during an upgrade they may be."""
        if self.chaincode == VERSION:
            return None
        told = f"of version {self.chaincode}" if self.chaincode else "of a version that it does not tell"
        return f"the chaincode is {told}, this node of {VERSION}"


def standing(organisation: Organisation) -> Standing:
    """Asked of the organisation's peer; GatewayError or Refused if it does not answer."""
    users = [one.user for one in organisation.config.identities]
    market = organisation.market(users[0])
    try:
        version = market.version().version
    except Refused as refused:
        if refused.code != "UNKNOWN_FUNCTION":
            raise
        version = ""
    balances = {
        organisation.name(user): _balance(organisation.market(user), organisation.name(user))
        for user in users
    }
    return Standing(organisation.gateway(users[0]).endpoint, version, balances)


def _balance(market: Market, account: str) -> int:
    """0 for an account that was never paid: the ledger has none."""
    try:
        return market.account(account).balance
    except Refused as refused:
        if refused.code != "NO_SUCH_ACCOUNT":
            raise
        return 0
