#!/usr/bin/env python3
"""Push and pull with a real client. REGISTRY_BIN names the registry."""
import hashlib
import json
import os
import shutil
import subprocess
import unittest

import oci_layout
from support import CLEAN_ENV, RegistryCase


@unittest.skipUnless(shutil.which("skopeo"), "skopeo is not installed")
class Skopeo(RegistryCase):
    def skopeo(self, *args):
        done = subprocess.run(["skopeo", "--insecure-policy", *args], env=CLEAN_ENV, check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def layout(self, name, **options):
        """An OCI layout made of this directory; answers its path and digest."""
        here = os.path.dirname(os.path.abspath(__file__))
        path = os.path.join(self.top, name)
        files = [os.path.join(here, f) for f in os.listdir(here) if f.endswith(".py")]
        return path, oci_layout.make(path, files, tag="v1", **options)

    def url(self, name):
        return f"docker://127.0.0.1:{self.server.port}/{name}"

    def push(self, path, name, *args):
        self.skopeo("copy", "--dest-tls-verify=false", *args, f"oci:{path}:v1", self.url(name))

    def pull(self, name, to):
        path = os.path.join(self.top, to)
        self.skopeo("copy", "--src-tls-verify=false", self.url(name), f"oci:{path}:v1")
        return path

    def assert_same(self, pushed, pulled, digest):
        """Every blob that came back hashes to its name, and none is missing."""
        with open(os.path.join(pulled, "index.json"), encoding="utf-8") as index:
            self.assertEqual(json.load(index)["manifests"][0]["digest"], digest)
        names = [set(os.listdir(os.path.join(p, "blobs/sha256"))) for p in (pushed, pulled)]
        self.assertEqual(*names)
        for name in names[1]:
            with open(os.path.join(pulled, "blobs/sha256", name), "rb") as blob:
                self.assertEqual(hashlib.file_digest(blob, "sha256").hexdigest(), name)

    def test_an_image_comes_back_with_the_same_digests(self):
        pushed, digest = self.layout("pushed", size=20 << 20)
        self.push(pushed, "some/image:v1")
        self.assert_same(pushed, self.pull("some/image:v1", "by-tag"), digest)
        self.assert_same(pushed, self.pull(f"some/image@{digest}", "by-digest"), digest)
        found = json.loads(self.skopeo("inspect", "--tls-verify=false", self.url("some/image:v1")))
        self.assertEqual((found["Digest"], found["RepoTags"]), (digest, ["v1"]))

    def test_an_image_can_be_copied_inside_the_registry(self):
        pushed, digest = self.layout("pushed")
        self.push(pushed, "first:v1")
        self.skopeo("copy", "--src-tls-verify=false", "--dest-tls-verify=false",
                    self.url("first:v1"), self.url("second/copy:v2"))
        self.assert_same(pushed, self.pull("second/copy:v2", "copy"), digest)

    def test_docker_schema_2_is_stored_as_such(self):
        pushed, _ = self.layout("pushed")
        self.push(pushed, "docker:v1", "--format", "v2s2")
        raw = json.loads(self.skopeo("inspect", "--raw", "--tls-verify=false",
                                     self.url("docker:v1")))
        self.assertEqual(raw["mediaType"], "application/vnd.docker.distribution.manifest.v2+json")
        self.pull("docker:v1", "pulled")

    def test_delete_removes_the_image(self):
        pushed, _ = self.layout("pushed")
        self.push(pushed, "gone:v1")
        self.skopeo("delete", "--tls-verify=false", self.url("gone:v1"))
        self.assertEqual(self.call("GET", "/v2/gone/manifests/v1").status, 404)

    def test_the_layout_is_the_same_every_time(self):
        self.assertEqual(self.layout("one", size=1 << 20)[1], self.layout("two", size=1 << 20)[1])


if __name__ == "__main__":
    unittest.main()
