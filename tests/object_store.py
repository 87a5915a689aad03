"""A store of objects on this machine, which speaks S3: addresses ``s3://…`` lead to it in tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

KEYS = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "tests",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="session")
def _s3() -> Iterator[Any]:
    """Run moto's server, and give a client of it; the environment leads there until the end of the tests."""
    pytest.importorskip("s3fs", reason="pip install -r requirements_remote.txt")
    server_of = pytest.importorskip("moto.server", reason="pip install -r requirements_dev.txt")
    import boto3

    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (KEYS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}).items():
            environment.setenv(name, value)
        yield boto3.client("s3")
    server.stop()


class Bucket:
    """A bucket of the store, of a name of its own."""

    def __init__(self, s3: Any, name: str) -> None:
        self.s3, self.name = s3, name
        s3.create_bucket(Bucket=name)

    def address(self, key: str = "") -> Path:
        """Return the path of a key as a command gets it."""
        return Path(f"s3://{self.name}/{key}")

    def put(self, key: str, content: bytes) -> None:
        """Put an object there, or replace it."""
        self.s3.put_object(Bucket=self.name, Key=key, Body=content)

    def put_folder(self, folder: Path, key: str) -> None:
        """Copy all files of a folder to below a key."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{key}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def objects(self) -> dict[str, bytes]:
        """Return all objects by their keys."""
        listed = self.s3.list_objects_v2(Bucket=self.name).get("Contents", ())
        return {
            one["Key"]: self.s3.get_object(Bucket=self.name, Key=one["Key"])["Body"].read() for one in listed
        }


@pytest.fixture
def bucket(_s3, request, tmp_path, monkeypatch) -> Bucket:
    """Make an empty bucket; copies of what lies in it are kept in a folder of the test."""
    monkeypatch.setenv("HPA_CACHE", str(tmp_path / "copies"))
    return Bucket(_s3, f"b{abs(hash(request.node.nodeid))}")
