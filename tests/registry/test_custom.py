#!/usr/bin/env python3
"""A driver written in C behind the other examples: custom.so, preloaded.

EXAMPLES_DIR is where the examples were built."""
import hashlib
import http.client
import json
import os
import subprocess
import tempfile
import unittest

import oci_layout
from support import CLEAN_ENV, OCI_MANIFEST, WRAPPER, Reply, Server

EXAMPLES = os.environ.get("EXAMPLES_DIR", "")
PRELOAD = os.path.join(EXAMPLES, "custom.so")


@unittest.skipUnless(EXAMPLES, "EXAMPLES_DIR names no directory")
class Custom(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="custom-test-")
        self.addCleanup(place.cleanup)
        self.top = place.name
        self.params = {"path": os.path.join(self.top, "store.db")}
        self.env = {"LD_PRELOAD": PRELOAD}

    def example(self, name, path, data=b""):
        done = subprocess.run(
            [os.path.join(EXAMPLES, name), "sqlite", json.dumps(self.params), path],
            input=data, capture_output=True, check=False, env=dict(CLEAN_ENV, **self.env))
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout

    def call(self, port, method, path, body=None, headers=None):
        http_ = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            http_.request(method, path, body=body, headers=headers or {})
            return Reply(http_.getresponse())
        finally:
            http_.close()

    def test_put_cat_and_walk_use_it(self):
        data = os.urandom(3_000_000)
        self.example("put", "/some/object", data)
        self.assertEqual(self.example("cat", "/some/object"), data)
        self.assertIn(b"3000000  bytes in all", self.example("walk", "/"))

    def test_epoll_server_serves_from_it(self):
        data = os.urandom(500_000)
        self.example("put", "/some/object", data)
        server = subprocess.Popen(
            [*WRAPPER, os.path.join(EXAMPLES, "epoll_server"), "sqlite",
             json.dumps(self.params), "0"], stdout=subprocess.PIPE, text=True,
            env=dict(CLEAN_ENV, **self.env))
        try:
            port = int(server.stdout.readline().rsplit(":", 1)[1])
            for _ in range(5):
                self.assertEqual(self.call(port, "GET", "/some/object").body, data)
            self.assertEqual(self.call(port, "GET", "/missing").status, 404)
        finally:
            server.terminate()
            self.assertEqual(server.wait(timeout=120), 0)
            server.stdout.close()

    @unittest.skipUnless(os.environ.get("REGISTRY_BIN"), "REGISTRY_BIN names no registry")
    def test_a_registry_stands_on_it(self):
        layout = os.path.join(self.top, "image")
        oci_layout.make(layout, [__file__], size=2_000_000)
        blobs = os.path.join(layout, "blobs/sha256")
        options = ("--driver", "sqlite", "--params-json", json.dumps(self.params))
        server = Server(None, *options, env=self.env)
        try:
            for name in os.listdir(blobs):
                with open(os.path.join(blobs, name), "rb") as blob:
                    reply = self.call(server.port, "POST",
                                      f"/v2/a/blobs/uploads/?digest=sha256:{name}", blob.read())
                self.assertEqual(reply.status, 201)
            with open(os.path.join(layout, "index.json"), "rb") as index:
                hexed = json.load(index)["manifests"][0]["digest"][7:]
            with open(os.path.join(blobs, hexed), "rb") as manifest:
                reply = self.call(server.port, "PUT", "/v2/a/manifests/v1", manifest.read(),
                                  {"Content-Type": OCI_MANIFEST})
            self.assertEqual(reply.status, 201)
            self.assertEqual(server.stop(), 0, server.log())
            server.errors.close()
            server = Server(None, *options, env=self.env)  # the database is all it needs
            for name in os.listdir(blobs):
                found = self.call(server.port, "GET", f"/v2/a/blobs/sha256:{name}").body
                self.assertEqual(hashlib.sha256(found).hexdigest(), name)
            tags = self.call(server.port, "GET", "/v2/a/tags/list").json()
            self.assertEqual(tags, {"name": "a", "tags": ["v1"]})
        finally:
            self.assertEqual(server.stop(), 0, server.log())
            server.errors.close()


if __name__ == "__main__":
    unittest.main()
