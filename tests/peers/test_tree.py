#!/usr/bin/env python3
"""The tree on disk: after the same pushes it is the same, byte for byte."""
import json
import os
import re
import shutil
import unittest

from peers import OCI_INDEX, OCI_MANIFEST, Go, Ours, PeerCase, digest, tree, umask

UPLOAD = re.compile(r"(/_uploads/)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=/|$)")
STARTED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Tree(PeerCase):
    def trees(self, pushes):
        """The tree that each registry makes of `pushes`."""
        found = {}
        for kind in (Ours, Go):
            self.new_store()
            peer = self.start(kind)
            pushes(peer)
            self.stop(peer)
            found[kind.name] = self.comparable()
        return found

    def comparable(self):
        """The tree without what must differ: the names of uploads, the time they began,
        and hash states, which only the Go registry keeps."""
        found = {}
        for path, (mode, content) in tree(self.root).items():
            if "/hashstates" in path:
                continue
            if path.endswith("/startedat"):
                with open(os.path.join(self.root, path), encoding="ascii") as file:
                    self.assertRegex(file.read(), STARTED_AT)
                content = "a time"
            path = UPLOAD.sub(r"\1uuid", path)
            self.assertNotIn(path, found)
            found[path] = (mode, content)
        return found

    def assert_same(self, pushes):
        for mask in (0o022, 0o027):
            with self.subTest(umask=oct(mask)), umask(mask):
                found = self.trees(pushes)
                self.maxDiff = None
                self.assertEqual(found["ours"], found["go"])
                self.assert_modes(found["ours"], mask)

    def assert_modes(self, found, mask):
        """The umask alone takes bits away."""
        modes = {mode for mode, _ in found.values()}
        self.assertEqual(modes, {oct(0o040777 & ~mask), oct(0o100666 & ~mask)})

    def test_ours_leaves_the_modes_to_the_umask(self):
        """Not compared: this release of Go's makes the directories of blobs 0755, later
        ones 0777 like the others."""
        for mask in (0, 0o002, 0o077):
            with self.subTest(umask=oct(mask)), umask(mask):
                self.new_store()
                ours = self.start(Ours)
                manifest = self.push_image(ours, [b"a layer", bytes(200_000)], "v1")
                self.push_manifest(ours, manifest, "v1")  # every link is written over
                self.patch(ours, self.begin(ours), b"an upload")
                self.stop(ours)
                self.assert_modes(self.comparable(), mask)

    def test_of_blobs_and_manifests(self):
        config = os.urandom(1000)
        layers = [b"", b"x", os.urandom(100_000), os.urandom((2 << 20) + 1)]

        def pushes(peer):
            first = self.push_image(peer, layers, "v1", "a/b", config)
            second = self.push_image(peer, layers[1:], "v1", "a/b", config)
            self.push_manifest(peer, first, "again", "a/b")
            self.push_manifest(peer, first, digest(first), "a/b")
            self.push_image(peer, layers, "v1", "a", config)
            self.push_image(peer, layers, "v1", "a/b/c-d__e.f", config)
            index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
                {"mediaType": OCI_MANIFEST, "digest": digest(one), "size": len(one)}
                for one in (first, second)]})
            self.push_manifest(peer, index.encode(), "index", "a/b", OCI_INDEX)

        self.assert_same(pushes)

    def test_of_mounts_and_deletions(self):
        layers = [b"a layer", b"and another"]

        def pushes(peer):
            one = self.push_image(peer, layers, "v1")
            self.push_image(peer, layers[:1], "v2")
            for tag in ("x", "y"):
                self.push_manifest(peer, one, tag)
            self.call(peer, "POST", f"/v2/to/blobs/uploads/?mount={digest(layers[0])}&from=a/b",
                      b"", status=201)
            self.call(peer, "DELETE", f"/v2/a/b/blobs/{digest(layers[1])}", status=202)
            self.call(peer, "DELETE", f"/v2/a/b/manifests/{digest(one)}", status=202)
            self.assertEqual(self.tags(peer, "a/b"), ["v2"])

        self.assert_same(pushes)

    def test_of_uploads_begun_and_grown(self):
        data = os.urandom(200_000)

        def pushes(peer):
            self.begin(peer, "begun")
            self.patch(peer, self.begin(peer, "empty"), b"")
            url = self.patch(peer, self.begin(peer, "grown"), data[:5])
            self.patch(peer, url, data[5:])
            url = self.patch(peer, self.begin(peer, "ended"), data[:100_000])
            self.finish(peer, url, digest(data), data[100_000:])

        self.assert_same(pushes)

    def test_of_images_that_skopeo_pushes(self):
        image, index = self.layout(4, 4 << 20)[0], self.index_layout()[0]

        def pushes(peer):
            self.push(peer, image, "some/image:v1")
            self.push(peer, index, "some/image:all")

        self.assert_same(pushes)

    def test_the_comparison_sees_a_difference(self):
        ours = self.start(Ours)
        self.push_blob(ours, b"x")
        before = self.comparable()
        for damage in (lambda path: os.chmod(path, 0o600), lambda path: os.truncate(path, 0),
                       lambda path: os.rename(path, path + "~"),
                       lambda path: os.chmod(os.path.dirname(path), 0o711)):
            path = self.on_disk("blobs/sha256", digest(b"x")[7:9], digest(b"x")[7:], "data")
            damage(path)
            self.assertNotEqual(self.comparable(), before)
            shutil.rmtree(self.root)
            self.push_blob(ours, b"x")
            self.assertEqual(self.comparable(), before)


if __name__ == "__main__":
    unittest.main()
