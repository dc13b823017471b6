"""The policy of docs/store.md on an S3 server that enforces it: who may write what, by the store and by hand."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator

import pytest
from quorumlearn.artifacts import ArtifactMissing, NotAllowed

from tests.client.artifacts.s3_server import BUCKET, Server, serving

VICTIM, RIVAL, THIRD = "VictimMSP", "RivalMSP", "ThirdMSP"
DATA = b"an encrypted update"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Whoever runs it makes the bucket and the users; from then on it refuses what no policy allows."""
    with serving(VICTIM, RIVAL, THIRD) as running:
        yield running


def test_by_hand_a_rival_writes_and_removes_below_its_own_name_only(server: Server) -> None:
    from botocore.exceptions import ClientError

    ref = server.store(VICTIM, user=VICTIM).put(DATA)
    theirs = f"{VICTIM}/{ref.digest[:2]}/{ref.digest}"
    own = f"{RIVAL}/{ref.digest[:2]}/{ref.digest}"
    rival = server.client(RIVAL)
    rival.put_object(Bucket=BUCKET, Key=own, Body=b"garbage")

    def bulk() -> None:
        """A removal of many answers with an error for each one that it refuses."""
        errors = rival.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": theirs}]}).get("Errors")
        if errors:
            raise ClientError({"Error": errors[0]}, "DeleteObjects")

    expiry = {"Rules": [{"ID": "all", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}]}
    anything = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    deeds: dict[str, Callable[[], object]] = {
        "overwrite": lambda: rival.put_object(Bucket=BUCKET, Key=theirs, Body=b"garbage"),
        "copy over it": lambda: rival.copy_object(Bucket=BUCKET, Key=theirs, CopySource=f"{BUCKET}/{own}"),
        "upload in parts": lambda: rival.create_multipart_upload(Bucket=BUCKET, Key=theirs),
        "remove": lambda: rival.delete_object(Bucket=BUCKET, Key=theirs),
        "remove many": bulk,
        "put beside it": lambda: rival.put_object(Bucket=BUCKET, Key=f"{VICTIM}/new", Body=b"garbage"),
        "a longer name": lambda: rival.put_object(Bucket=BUCKET, Key=f"{RIVAL}2/new", Body=b"garbage"),
        "below none": lambda: rival.put_object(Bucket=BUCKET, Key="new", Body=b"garbage"),
        "hide it": lambda: rival.put_object_acl(Bucket=BUCKET, Key=theirs, ACL="private"),
        "hide its own": lambda: rival.put_object_acl(Bucket=BUCKET, Key=own, ACL="private"),
        "let it expire": lambda: rival.put_bucket_lifecycle_configuration(
            Bucket=BUCKET, LifecycleConfiguration=expiry
        ),
        "allow itself": lambda: rival.put_bucket_policy(
            Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [anything]})
        ),
        "remove the bucket": lambda: rival.delete_bucket(Bucket=BUCKET),
    }
    for name, deed in deeds.items():
        with pytest.raises(ClientError) as refused:
            deed()
        assert refused.value.response["Error"]["Code"] == "AccessDenied", name
    assert rival.get_object(Bucket=BUCKET, Key=theirs)["Body"].read() == DATA
    rival.delete_object(Bucket=BUCKET, Key=own)


def test_the_store_of_a_rival_changes_nothing_of_anothers(server: Server) -> None:
    ref = server.store(VICTIM, user=VICTIM).put(DATA)
    pretends = server.store(VICTIM, user=RIVAL)
    for deed in (lambda: pretends.delete(ref), lambda: pretends.put(b"something new")):
        with pytest.raises(NotAllowed):
            deed()
    assert pretends.get(ref, 100) == DATA
    with pytest.raises(NotAllowed):
        server.store(THIRD, user=THIRD, secret="wrong").get(ref, 100)


def test_what_a_rival_leaves_below_its_own_name_hides_nothing(server: Server) -> None:
    victim, rival, third = (server.store(name, user=name) for name in (VICTIM, RIVAL, THIRD))
    ref = victim.put(DATA)
    large = victim.put_stream([os.urandom(1 << 20)] * 12)
    server.client(RIVAL).put_object(
        Bucket=BUCKET, Key=f"{RIVAL}/{ref.digest[:2]}/{ref.digest}", Body=b"y" * len(DATA)
    )
    for author in (VICTIM, RIVAL, ""):
        assert third.get(ref, 100, author) == DATA
        assert third.has(large, author)
    assert len(third.get(large, large.size)) == large.size
    assert rival.put(DATA) == ref, "what was damaged below the own name is made good"
    assert victim.delete(ref)
    assert third.get(ref, 100, VICTIM) == DATA
    assert rival.delete(ref)
    with pytest.raises(ArtifactMissing):
        third.get(ref, 100)


def test_pruning_takes_ones_own_only(server: Server) -> None:
    victim, rival = (server.store(name, user=name) for name in (VICTIM, RIVAL))
    kept, gone, theirs = victim.put(DATA), victim.put(b"of no use"), rival.put(b"a rival's")
    victim.prune({kept.digest, gone.digest}, time.time() + 60)
    assert victim.prune({kept.digest}, time.time() - 3600) == []
    assert victim.prune({kept.digest}, time.time() + 60) == [gone.digest]
    assert [victim.has(one) for one in (kept, gone, theirs)] == [True, False, True]
    assert rival.prune((), time.time() + 60) == [theirs.digest]
    with pytest.raises(NotAllowed):
        server.store(VICTIM, user=RIVAL).prune((), time.time() + 60)
    assert victim.has(kept)
