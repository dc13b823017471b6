"""An S3 server that enforces policies (moto), with a bucket, and for each organisation a user with the policy of docs/store.md."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from quorumlearn.artifacts import ArtifactStore

PAGE = Path(__file__).parents[3] / "docs" / "store.md"
BUCKET = "artifacts"
REGION = "us-east-1"


@dataclass(frozen=True)
class Server:
    """An S3 server with the bucket BUCKET. keys: of each organisation's user, its identifier and its secret."""

    address: str
    keys: dict[str, tuple[str, str]]

    def store(self, organisation: str, *, user: str, secret: str | None = None) -> ArtifactStore:
        """The store as `user` opens it in the name of an organisation, with its own secret or another."""
        key, own = self.keys[user]
        options = {
            "key": key,
            "secret": secret or own,
            "endpoint_url": self.address,
            "client_kwargs": {"region_name": REGION},
            "skip_instance_cache": True,
        }
        return ArtifactStore(f"s3://{BUCKET}", organisation=organisation, options=options)

    def client(self, user: str) -> Any:
        """S3 without the store between, as `user`."""
        return client("s3", self.address, *self.keys[user])


def client(service: str, address: str, key: str, secret: str) -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


@contextlib.contextmanager
def serving(*organisations: str) -> Iterator[Server]:
    """Whoever runs it makes the bucket and the users; from then on it refuses what no policy allows."""
    from moto.server import ThreadedMotoServer

    policy = PAGE.read_text().partition("```json\n")[2].partition("```")[0].replace("BUCKET", BUCKET)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    try:
        host, port = running.get_host_and_port()
        address = f"http://{host}:{port}"
        for path, body in (
            ("reset", b""),
            ("reset-auth", b"1000000"),
        ):  # servers of one process share what they know
            _tell(address, path, body)
        client("s3", address, "root", "root").create_bucket(Bucket=BUCKET)
        users, keys = client("iam", address, "root", "root"), {}
        for organisation in organisations:
            users.create_user(UserName=organisation)
            text = json.dumps(json.loads(policy.replace("ORGANISATION", organisation)))
            users.put_user_policy(UserName=organisation, PolicyName="store", PolicyDocument=text)
            made = users.create_access_key(UserName=organisation)["AccessKey"]
            keys[organisation] = (made["AccessKeyId"], made["SecretAccessKey"])
        _tell(address, "reset-auth", b"0")
        yield Server(address, keys)
    finally:
        running.stop()


def _tell(address: str, path: str, body: bytes) -> None:
    urlopen(Request(f"{address}/moto-api/{path}", body, {"Content-Type": "text/plain"}), timeout=10).close()
