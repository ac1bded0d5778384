#!/usr/bin/env python3
"""Images that one registry stored, served and managed by the other."""
import os
import subprocess
import unittest

from peers import (CLEAN_ENV, GO, LIMIT, OCI_INDEX, OCI_MANIFEST, Go, Ours, PeerCase, both_ways,
                   digest, go_config)

HEADERS = ("Docker-Content-Digest", "Content-Length", "Content-Type")


class Served(PeerCase):
    def assert_agree(self, names, *peers):
        """All peers list the same repositories and tags."""
        for peer in peers:
            self.assertEqual(self.catalog(peer), self.catalog(peers[0]), peer.name)
            for name in names:
                self.assertEqual(self.tags(peer, name), self.tags(peers[0], name), peer.name)

    @both_ways
    def test_images_pushed_to_one_are_pulled_from_the_other(self, first, second):
        here = os.path.dirname(os.path.abspath(__file__))
        text = [os.path.join(here, name) for name in sorted(os.listdir(here)) if "." in name]
        images = {
            "small": self.layout(layers=1, size=0, files=text),
            "a/many-layers": self.layout(layers=7, size=7 << 20, files=text),
            "a/shares-three": self.layout(layers=3, size=3 << 20),
            "a/shares_five": self.layout(layers=5, size=5 << 20),
            "a/b/large": self.layout(layers=2, size=12 << 20),
            "index": self.index_layout()}
        storing = self.start(first)
        for name, (layout, _) in images.items():
            self.push(storing, layout, f"{name}:v1")
        catalog = self.catalog(storing)
        self.stop(storing)
        serving = self.start(second)
        for name, (layout, wanted) in images.items():
            self.assert_pulls(serving, f"{name}:v1", layout, wanted)
            self.assert_pulls(serving, f"{name}@{wanted}", layout, wanted)
        self.assertEqual(self.catalog(serving), catalog)
        self.assertEqual(sorted(catalog), sorted(images))
        self.assert_agree(images, serving, self.start(first))

    @both_ways
    def test_docker_manifests_too(self, first, second):
        layout, _ = self.layout()
        storing, serving = self.start(first), self.start(second)
        self.push(storing, layout, "docker:v1", "--format", "v2s2")
        raw = [self.call(peer, "GET", "/v2/docker/manifests/v1", status=200, headers={
            "Accept": "application/vnd.docker.distribution.manifest.v2+json"})
            for peer in (storing, serving)]
        self.assertEqual(raw[0].body, raw[1].body)
        self.pull(serving, "docker:v1")

    @both_ways
    def test_an_image_pushed_again_to_the_other_uploads_nothing(self, first, second):
        layout, wanted = self.layout()
        storing, serving = self.start(first), self.start(second)
        self.push(storing, layout, "again:v1")
        uploads = self.on_disk("repositories/again/_uploads")
        os.rmdir(uploads)  # fails if an upload was left behind
        self.push(serving, layout, "again:v2")
        self.assertFalse(os.path.exists(uploads))
        for peer in (storing, serving):
            self.assert_pulls(peer, "again:v2", layout, wanted)
        self.assert_agree(["again"], storing, serving)

    @both_ways
    def test_a_tag_moved_by_one_is_moved_for_the_other(self, first, second):
        (one, first_digest), (two, second_digest) = self.layout(2, 2 << 20), self.layout(3)
        storing, serving = self.start(first), self.start(second)
        self.push(storing, one, "moved:v1")
        self.assert_pulls(serving, "moved:v1", one, first_digest)
        self.push(serving, two, "moved:v1")
        self.assert_pulls(storing, "moved:v1", two, second_digest)
        self.push(storing, one, "moved:v1")
        self.assert_pulls(serving, "moved:v1", one, first_digest)
        self.assert_pulls(serving, f"moved@{second_digest}", two, second_digest)
        self.assert_agree(["moved"], storing, serving)

    @both_ways
    def test_what_one_deletes_is_gone_for_the_other(self, first, second):
        (one, first_digest), (two, second_digest) = self.layout(2, 2 << 20), self.layout(3)
        storing, deleting = self.start(first), self.start(second)
        for tag in ("a", "b", "c"):
            self.push(storing, one, f"image:{tag}")
        self.push(storing, two, "image:other")
        # This release of the Go registry deletes by digest only.
        by_tag = deleting if deleting.name == "ours" else storing
        self.call(by_tag, "DELETE", "/v2/image/manifests/b", status=202)
        for peer in (storing, deleting):
            self.assertEqual(self.tags(peer, "image"), ["a", "c", "other"])
            self.call(peer, "GET", "/v2/image/manifests/b", status=404)
        self.assert_pulls(storing, f"image@{first_digest}", one, first_digest)
        self.call(deleting, "DELETE", f"/v2/image/manifests/{first_digest}", status=202)
        for peer in (storing, deleting):
            self.assertEqual(self.tags(peer, "image"), ["other"])
            for reference in ("a", "c", first_digest):
                self.call(peer, "GET", f"/v2/image/manifests/{reference}", status=404)
            self.assert_pulls(peer, "image:other", two, second_digest)
        data = b"a blob by itself"
        self.push_blob(storing, data, "image")
        self.call(deleting, "DELETE", f"/v2/image/blobs/{digest(data)}", status=202)
        for peer in (storing, deleting):  # and is not there to be deleted again
            for url in (f"/v2/image/blobs/{digest(data)}", f"/v2/image/manifests/{first_digest}"):
                self.call(peer, "HEAD", url, status=404)
                self.call(peer, "DELETE", url, status=404)

    @both_ways
    def test_both_answer_alike(self, first, second):
        """Status, body and the headers clients go by, of reads that succeed and fail."""
        absent = "sha256:" + "0" * 64
        storing, serving = self.start(first), self.start(second)
        data = os.urandom(70_000)
        manifest = self.push_image(storing, [data, b""], "v1")
        urls = [f"/v2/a/b/blobs/{d}" for d in (digest(data), digest(b""), absent)]
        urls += [f"/v2/a/b/manifests/{r}" for r in ("v1", digest(manifest), "v2", absent)]
        urls += ["/v2/", "/v2/none/tags/list", "/v2/a/b/tags/list"]
        for url in urls:
            for more in ({}, {"Range": "bytes=5-9"}, {"Range": "bytes=69990-"}):
                for method in ("GET", "HEAD"):
                    if method == "HEAD" and (more or "/tags/" in url):
                        continue  # Go routes no HEAD to lists, and leaves ranges of HEAD open
                    accept = {"Accept": f"{OCI_MANIFEST}, {OCI_INDEX}", **more}
                    replies = [self.call(peer, method, url, headers=accept)
                               for peer in (storing, serving)]
                    self.assert_alike(url, method, more, *replies)

    def assert_alike(self, url, method, more, one, other):
        what = f"{method} {url} {more}"
        self.assertEqual(one.status, other.status, what)
        if one.status >= 400:
            if method == "GET" and one.status != 416:  # there Go has no JSON
                self.assertEqual(one.json()["errors"][0]["code"],
                                 other.json()["errors"][0]["code"], what)
            return
        if "/tags/" in url:
            self.assertEqual(one.json(), other.json(), what)  # one tag: no order
            return
        self.assertEqual(one.body, other.body, what)
        if url != "/v2/":
            for header in (*HEADERS, "Content-Range"):
                self.assertEqual(one.headers[header], other.headers[header], f"{what}: {header}")

    @both_ways
    def test_a_blob_of_one_is_mounted_by_the_other(self, first, second):
        storing, mounting = self.start(first), self.start(second)
        data = os.urandom(100_000)
        found = self.push_blob(storing, data, "from/here")
        self.call(mounting, "POST", f"/v2/to/there/blobs/uploads/?mount={found}"
                                    "&from=from/here", b"", status=201)
        for peer in (storing, mounting):
            self.blob_is(peer, found, data, "to/there")


class GarbageCollection(PeerCase):
    def collect(self, *options):
        """Run the Go registry's collector; answers what it said."""
        done = subprocess.run(
            [GO, "garbage-collect", *options, go_config(self.root, self.top)], env=CLEAN_ENV,
            cwd=self.top, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_it_finds_nothing_to_collect_in_what_ours_stored(self):
        images = {"a/one": self.layout(3), "a/two": self.layout(5, 5 << 20),
                  "index": self.index_layout()}
        ours = self.start(Ours)
        for name, (layout, _) in images.items():
            self.push(ours, layout, f"{name}:v1")
            self.push(ours, layout, f"{name}:v1")  # every link is written over
        self.patch(ours, self.begin(ours, "a/one"), b"an upload that is not finished")
        self.stop(ours)
        for options in ((), ("--delete-untagged",)):
            if options:
                del images["index"]  # this release takes the images of an index for untagged
            said = self.collect(*options)
            if not options:
                self.assertIn(" 0 blobs and 0 manifests eligible for deletion", said)
            ours = self.start(Ours)
            for name, (layout, wanted) in images.items():
                for peer in (ours, self.start(Go)):
                    self.assert_pulls(peer, f"{name}:v1", layout, wanted)
            self.stop_all()

    def test_it_collects_what_ours_deleted_and_no_more(self):
        (kept, kept_digest), (gone, gone_digest) = self.layout(3), self.layout(5, 5 << 20)
        ours = self.start(Ours)
        self.push(ours, kept, "image:kept")
        before = self.blobs_on_disk()
        self.push(ours, gone, "image:gone")
        self.call(ours, "DELETE", f"/v2/image/manifests/{gone_digest}", status=202)
        self.stop(ours)
        self.collect()
        self.assertEqual(self.blobs_on_disk(), before)
        ours = self.start(Ours)
        self.assert_pulls(ours, "image:kept", kept, kept_digest)
        self.push(ours, gone, "image:back")  # what was collected is not taken for present
        for peer in (ours, self.start(Go)):
            self.assert_pulls(peer, "image:back", gone, gone_digest)

    def test_what_a_killed_process_of_ours_leaves_is_in_nobodys_way(self):
        """Beside any file that ours writes over a temporary of it may stay behind."""
        layout, wanted = self.layout()
        ours = self.start(Ours)
        self.push(ours, layout, "image:v1")
        self.push(ours, layout, "image:v2")
        unfinished = self.begin(ours, "image")
        for above, _, files in list(os.walk(self.on_disk())):
            if files:
                with open(os.path.join(above, "~tmp~0123456789abcdef"), "wb") as out:
                    out.write(b"sha256:")
        go = self.start(Go)
        for peer in (ours, go):
            self.push(peer, layout, "image:v1")
            self.assertEqual(self.catalog(peer), ["image"])
            self.assertEqual(self.tags(peer, "image"), ["v1", "v2"])
            for tag in ("v1", "v2"):
                self.assert_pulls(peer, f"image:{tag}", layout, wanted)
        self.call(ours, "DELETE", unfinished, status=204)
        self.stop_all()
        self.assertIn(" 0 blobs and 0 manifests eligible for deletion", self.collect())
        go, ours = self.start(Go), self.start(Ours)
        self.assert_pulls(go, "image:v1", layout, wanted)
        self.call(go, "DELETE", f"/v2/image/manifests/{wanted}", status=202)
        for peer in (ours, go):
            self.assertEqual(self.tags(peer, "image"), [])
        self.stop_all()
        self.collect()
        self.assertEqual(self.blobs_on_disk(), [])

    def blobs_on_disk(self):
        found = []
        for above, _, files in os.walk(self.on_disk("blobs")):
            found += [os.path.join(above, name) for name in files if name == "data"]
        return sorted(found)


if __name__ == "__main__":
    unittest.main()
