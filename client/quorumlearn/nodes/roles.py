"""What each identity of an organisation is in a task: owner, miner, or a seat with its three threads."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from quorumlearn.attacks import make_behaviour
from quorumlearn.ckks import Workers
from quorumlearn.nodes.committee.judge import Judge
from quorumlearn.nodes.committee.keyholder import KeyHolder
from quorumlearn.nodes.committee.scoring import Scorer
from quorumlearn.nodes.committee.sending import Sender
from quorumlearn.nodes.committee.validation import Validator
from quorumlearn.nodes.committee.verifier import Verifier
from quorumlearn.nodes.config import IdentityConfig
from quorumlearn.nodes.consent import Consent
from quorumlearn.nodes.health import Health
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.keeping import Keeper
from quorumlearn.nodes.miner import Miner
from quorumlearn.nodes.organisation import Organisation
from quorumlearn.nodes.owner import Owner
from quorumlearn.nodes.training import Trainer, Workshop
from quorumlearn.nodes.work.chunks import ChunkReader
from quorumlearn.nodes.work.granting import Granting
from quorumlearn.nodes.work.minerkey import MinerKey
from quorumlearn.nodes.work.tracing import Tracer


@dataclass(frozen=True)
class Roles:
    """Made of what the identities of a node share."""

    organisation: Organisation
    workshop: Workshop
    workers: Workers
    health: Health
    keeper: Keeper
    consent: Consent

    def journal(self, identity: IdentityConfig, task: str) -> Journal:
        """JournalError if its folder cannot be made."""
        return self.organisation.journal.below(identity.user).below(task)

    def owner(self, identity: IdentityConfig, task: str) -> Owner:
        org = self.organisation
        return Owner(
            me=org.name(identity.user),
            store=org.store,
            journal=self.journal(identity, task),
            test_set=partial(org.test_set, identity),
            granting=Granting(
                me=org.name(identity.user),
                market=org.market(identity.user),
                store=org.store,
                files=org.config.data_keys,
                most_rounds=org.config.renew_keys,
            ),
        )

    def miner(self, identity: IdentityConfig, task: str) -> Miner:
        org, behaviour, journal = (
            self.organisation,
            make_behaviour(identity.behaviour),
            self.journal(identity, task),
        )
        me, market = org.name(identity.user), org.market(identity.user)
        trainer = Trainer(
            me=me,
            market=market,
            store=org.store,
            journal=journal,
            workshop=self.workshop,
            shard=partial(org.shard, identity),
            behaviour=behaviour,
            repeatable=org.repeatable,
            budget=org.data_budget,
        )
        key = MinerKey(me, journal, market)
        tracer = Tracer(
            me=me,
            store=org.store,
            journal=journal,
            workshop=self.workshop,
            reader=ChunkReader(me, org.store, org.chunks, lambda _: key.private()),
            behaviour=behaviour,
            chunks=identity.chunks,
        )
        return Miner(
            me,
            market,
            org.store,
            journal,
            trainer,
            tracer,
            key,
            behaviour,
            self.workers,
            may_begin=self.health.may_begin,
            welcome=partial(self.consent.welcome, identity),
            accepts=partial(self.consent.given, identity),
        )

    def seat(self, identity: IdentityConfig, task: str) -> tuple[Verifier, KeyHolder, Judge]:
        """Its rounds, its keys and its challenges."""
        org = self.organisation
        me, msp_id, market = org.name(identity.user), org.msp_id(identity.user), org.market(identity.user)
        journal, sender = self.journal(identity, task), Sender(me, market)
        scorer = Scorer(partial(org.test_set, identity))

        def reader(private: Callable[[], bytes]) -> ChunkReader:
            return ChunkReader(me, org.store, org.chunks, lambda _: private())

        rounds = Verifier(
            me=me,
            msp_id=msp_id,
            market=market,
            store=org.store,
            journal=journal,
            sender=sender,
            validator=Validator(org.store, scorer),
            position=partial(org.position, identity.user),
            workers=self.workers,
            workshop=self.workshop,
            reader=reader,
            leaving=any(fnmatch.fnmatchcase(task, pattern) for pattern in identity.leaves),
            may_begin=self.health.may_begin,
            seated=self.keeper.seated,
            accepts=partial(self.consent.given, identity),
        )
        keys = KeyHolder(me, msp_id, org.store, journal, sender, org.repeatable)
        return rounds, keys, Judge(me, msp_id, market, org.store, scorer)
