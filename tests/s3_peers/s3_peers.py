"""Two registries on one bucket: ours, and the Go registry of Distribution. Most of it
is that of tests/peers, whose store is a directory."""
import functools
import json
import os
import sys
import unittest
import uuid

import boto3
from botocore.config import Config

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "peers"))

import peers  # noqa: E402
from peers import BOTH_WAYS, SECRET, PeerCase, Server  # noqa: E402

ACCESS_KEY, SECRET_KEY = "testaccesskey", "testsecretkey0123456789"
REGION, BUCKET = "us-east-1", "registry"
SERVERS = {name: os.environ.get(f"STORAGEDRIVER_S3_{name.upper()}")
           for name in ("radosgw", "seaweedfs")}
PART = 5 << 20  # the smallest that S3 takes, but for the last one
CONFIG = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  s3:
    accesskey: {access_key}
    secretkey: {secret_key}
    region: {region}
    regionendpoint: {endpoint}
    bucket: {bucket}
    rootdirectory: {root}
    chunksize: {part}
    secure: false
    v4auth: true
  delete: {{enabled: true}}
  redirect: {{disable: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:0", secret: "{secret}"}}
"""


class Store:
    """A root directory of its own in the bucket of one server."""

    def __init__(self, server):
        self.server, self.endpoint = server, SERVERS[server]
        self.root = "/" + uuid.uuid4().hex
        self.s3 = boto3.client(
            "s3", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY, config=Config(
                s3={"addressing_style": "path"}, request_checksum_calculation="when_required",
                response_checksum_validation="when_required"))

    def params(self):
        return {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY, "region": REGION,
                "regionendpoint": self.endpoint, "bucket": BUCKET, "rootdirectory": self.root,
                "chunksize": PART}

    def key(self, path):
        return f"{self.root[1:]}/docker/registry/v2/{path}"

    def get(self, path):
        return self.s3.get_object(Bucket=BUCKET, Key=self.key(path))["Body"].read()

    def keys(self, below):
        """Keys below a path, without what is above it."""
        above = self.key(below)
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=above)
        return [found["Key"][len(above):] for page in pages for found in page.get("Contents", ())]

    def uploads(self, below):
        """Uploads in progress below a path: key and sum of the parts."""
        found = []
        answer = self.s3.list_multipart_uploads(Bucket=BUCKET, Prefix=self.key(below))
        for upload in answer.get("Uploads", ()):
            names = {name: upload[name] for name in ("Key", "UploadId")}
            parts = self.s3.list_parts(Bucket=BUCKET, **names).get("Parts", ())
            found.append((upload["Key"], sum(part["Size"] for part in parts)))
        return found


class Ours(peers.Ours):
    """The registry over this library."""

    def __init__(self, store, _place):
        self.server = Server(None, "--driver", "s3", "--params-json", json.dumps(store.params()))
        self.port, self.pid = self.server.port, self.server.process.pid


class Go(peers.Go):
    """The registry whose layout it is."""


def go_config(store, place):
    path = os.path.join(place, "config.yml")
    with open(path, "w", encoding="utf-8") as out:
        out.write(CONFIG.format(
            access_key=ACCESS_KEY, secret_key=SECRET_KEY, region=REGION, part=PART,
            endpoint=store.endpoint, bucket=BUCKET, root=store.root, secret=SECRET))
    return path


peers.go_config = go_config  # what peers.Go asks for


def both_ways(test):
    """Run `test(self, first, second)` with either registry as the first."""
    @functools.wraps(test)
    def run(self):
        for first, second in ((Ours, Go), (Go, Ours)):
            with self.subTest(first=first.name, second=second.name):
                self.new_store()
                test(self, first, second)
    assert len(BOTH_WAYS) == 2
    return run


class S3Case(PeerCase):
    """A fresh root directory for each test, and registries that end with it."""

    server = "radosgw"

    def setUp(self):
        if not SERVERS[self.server] and not os.environ.get("SD_TEST_ALL"):
            self.skipTest(f"{self.server} was not started")
        super().setUp()
        self.new_store()

    def new_store(self, server=None):
        self.stop_all()
        self.root = Store(server or self.server)

    @property
    def store(self):
        return self.root


if __name__ == "__main__":
    unittest.main()
