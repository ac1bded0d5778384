#!/usr/bin/env python3
"""The one-page examples. EXAMPLES_DIR is where cat, put and walk were built."""
import json
import os
import subprocess
import tempfile
import unittest

EXAMPLES = os.environ.get("EXAMPLES_DIR", "")


@unittest.skipUnless(EXAMPLES, "EXAMPLES_DIR names no directory")
class Examples(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="examples-test-")
        self.addCleanup(place.cleanup)
        self.root = place.name

    def example(self, name, path, data=b"", driver="filesystem", params=None):
        params = {"rootdirectory": self.root} if params is None else params
        return subprocess.run([os.path.join(EXAMPLES, name), driver, json.dumps(params), path],
                              input=data, capture_output=True, check=False)

    def test_put_then_cat_gives_the_bytes_back(self):
        for size in (0, 1, 3_000_000):
            data = os.urandom(size)
            done = self.example("put", "/some/object", data)
            self.assertEqual((done.returncode, done.stdout),
                             (0, f"{size} bytes in /some/object\n".encode()), done.stderr)
            self.assertEqual(self.example("cat", "/some/object").stdout, data)

    def test_walk_lists_sizes_and_does_not_enter_underscores(self):
        for path in ("/a/one", "/a/_hidden/two", "/b"):
            self.example("put", path, b"12345")
        done = self.example("walk", "/")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line.split() for line in done.stdout.decode().splitlines()]
        self.assertEqual([row[-1] for row in rows[:-1]], ["/a/", "/a/_hidden/", "/a/one", "/b"])
        self.assertEqual(rows[2][0], "5")
        self.assertRegex(rows[2][1], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(rows[-1][0], "10")

    def test_failures_are_told_and_give_code_1(self):
        for name, path, driver, params, word in (
                ("cat", "/missing", "filesystem", None, "/missing"),
                ("cat", "no-slash", "filesystem", None, "no-slash"),
                ("put", "/a", "nonsense", {}, "nonsense"),
                ("walk", "/missing", "filesystem", None, "/missing"),
                ("walk", "/", "filesystem", {"rootdirektory": "x"}, "rootdirektory")):
            with self.subTest(name=name, path=path, driver=driver):
                done = self.example(name, path, b"", driver, params)
                self.assertEqual(done.returncode, 1)
                self.assertIn(word, done.stderr.decode())
                self.assertTrue(done.stderr.startswith(name.encode() + b": "))

    def test_wrong_arguments_give_code_2(self):
        for name in ("cat", "put", "walk"):
            done = subprocess.run([os.path.join(EXAMPLES, name)], capture_output=True, check=False)
            self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
