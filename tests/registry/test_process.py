#!/usr/bin/env python3
"""skopeo again, on a store in a process of its own: the driver in Python."""
import os
import unittest

import test_skopeo
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/python-driver")


class OverPython(test_skopeo.Skopeo):
    env = {"SD_DRIVER_PATH": os.path.realpath(EXAMPLES)}

    @property
    def options(self):
        return ("--driver", "pydir", "--param", f"rootdirectory={self.root}")

    def test_what_was_pushed_is_there_after_a_restart(self):
        pushed, digest = self.layout("pushed")
        self.push(pushed, "some/image:v1")
        self.restart()
        self.assert_same(pushed, self.pull("some/image:v1", "pulled"), digest)
        self.assertTrue(os.path.isdir(os.path.join(self.root, "docker/registry/v2")))


if __name__ == "__main__":
    unittest.main()
