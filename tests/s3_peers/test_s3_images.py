#!/usr/bin/env python3
"""Images that one registry stored in a bucket, served and managed by the other."""
import os
import subprocess
import unittest

import peers
from peers import CLEAN_ENV, GO, LIMIT, digest
from s3_peers import Go, Ours, S3Case, both_ways, go_config


class Served(S3Case):
    @both_ways
    def test_images_pushed_to_one_are_pulled_from_the_other(self, first, second):
        images = {"small": self.layout(1, 0), "a/many-layers": self.layout(7, 7 << 20),
                  "a/b/large": self.layout(2, 40 << 20), "index": self.index_layout()}
        storing = self.start(first)
        for name, (layout, _) in images.items():
            self.push(storing, layout, f"{name}:v1")
        self.stop(storing)
        serving = self.start(second)
        for name, (layout, wanted) in images.items():
            self.assert_pulls(serving, f"{name}:v1", layout, wanted)
            self.assertEqual(self.tags(serving, name), ["v1"])
        self.assertEqual(sorted(self.catalog(serving)), sorted(images))
        self.assertEqual(self.store.uploads(""), [])

    @both_ways
    def test_a_tag_moved_by_one_is_moved_for_the_other(self, first, second):
        (one, first_digest), (two, second_digest) = self.layout(2, 2 << 20), self.layout(3)
        storing, serving = self.start(first), self.start(second)
        self.push(storing, one, "moved:v1")
        self.assert_pulls(serving, "moved:v1", one, first_digest)
        self.push(serving, two, "moved:v1")
        self.assert_pulls(storing, "moved:v1", two, second_digest)

    @both_ways
    def test_what_one_deletes_is_gone_for_the_other(self, first, second):
        (one, first_digest), (two, second_digest) = self.layout(2, 2 << 20), self.layout(3)
        storing, deleting = self.start(first), self.start(second)
        self.push(storing, one, "image:a")
        self.push(storing, two, "image:b")
        self.call(deleting, "DELETE", f"/v2/image/manifests/{first_digest}", status=202)
        for peer in (storing, deleting):
            self.assertEqual(self.tags(peer, "image"), ["b"])
            self.call(peer, "GET", "/v2/image/manifests/a", status=404)
            self.assert_pulls(peer, "image:b", two, second_digest)

    @both_ways
    def test_a_blob_of_one_is_mounted_by_the_other(self, first, second):
        storing, mounting = self.start(first), self.start(second)
        data = os.urandom(100_000)
        found = self.push_blob(storing, data, "from/here")
        self.call(mounting, "POST", f"/v2/to/there/blobs/uploads/?mount={found}"
                                    "&from=from/here", b"", status=201)
        for peer in (storing, mounting):
            self.blob_is(peer, found, data, "to/there")

    def test_the_collector_of_the_other_finds_nothing_in_what_ours_stored(self):
        layout, wanted = self.layout(3)
        ours = self.start(Ours)
        self.push(ours, layout, "image:v1")
        self.patch(ours, self.begin(ours, "image"), b"an upload that is not finished")
        self.stop(ours)
        done = subprocess.run(
            [GO, "garbage-collect", go_config(self.store, self.top)], env=CLEAN_ENV, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(" 0 blobs and 0 manifests eligible for deletion", done.stdout)
        for kind in (Ours, Go):
            self.assert_pulls(self.start(kind), "image:v1", layout, wanted)


class Large(S3Case):
    def test_skopeo_pushes_and_pulls_300_mb_on_each_server(self):
        layout, wanted = self.layout(3, 300_000_000)
        for server in ("radosgw", "seaweedfs"):
            with self.subTest(server=server):
                self.new_store(server)
                ours = self.start(Ours)
                self.push(ours, layout, "large:v1")
                self.assert_pulls(ours, "large:v1", layout, wanted)
                self.assertEqual(self.store.uploads(""), [])
                self.assertEqual(self.store.keys("repositories/large/_uploads"), [])


class OnSeaweedFS(S3Case):
    server = "seaweedfs"

    @both_ways
    def test_images_pushed_to_one_are_pulled_from_the_other(self, first, second):
        layout, wanted = self.layout(3, 20 << 20)
        storing, serving = self.start(first), self.start(second)
        self.push(storing, layout, "a/image:v1")
        self.assert_pulls(serving, "a/image:v1", layout, wanted)
        self.assertEqual(self.catalog(serving), ["a/image"])


assert peers.SKOPEO and digest  # the module says what is missing

if __name__ == "__main__":
    unittest.main()
