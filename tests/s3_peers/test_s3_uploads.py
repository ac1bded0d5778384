#!/usr/bin/env python3
"""An upload in a bucket that one registry began and the other goes on with."""
import os
import signal
import socket
import unittest

from peers import digest, eventually, sign
from s3_peers import PART, S3Case, both_ways

NAME = "some/image"
# What lies there when the other takes over: nothing, tails of every kind, no tail.
SIZES = (0, 1, PART - 1, PART, PART + 3, 3 * PART + 70_000)
MORE = (64 << 10) + 1  # what the other adds


class Continued(S3Case):
    def upload(self, url):
        return f"repositories/{NAME}/_uploads/{uuid_of(url)}"

    def url_at(self, peer, url, size):
        """The URL by which `peer` goes on with an upload that has `size` bytes."""
        if peer.name == "ours":
            return path_of(url)
        started = self.store.get(self.upload(url) + "/startedat").decode()
        return f"{path_of(url)}?_state={sign(NAME, uuid_of(url), size, started)}"

    def assert_stands_at(self, peer, url, size):
        reply = self.call(peer, "GET", self.url_at(peer, url, size), status=204)
        self.assertEqual(reply.headers["Range"], f"0-{max(size, 1) - 1}")

    def go_on_and_end(self, url, data, first, second):
        """Go on with `data` by one more PATCH and a PUT with a body, on `second`."""
        peer = self.start(second)
        self.assert_stands_at(peer, url, len(data))
        more, end = os.urandom(MORE), b"the end"
        self.patch(peer, self.url_at(peer, url, len(data)), more)
        data += more
        self.assert_stands_at(peer, url, len(data))
        self.finish(peer, self.url_at(peer, url, len(data)), digest(data + end), end)
        self.assert_finished(url, data + end, peer, self.start(first))

    def assert_finished(self, url, data, *peers):
        for peer in peers:
            self.blob_is(peer, digest(data), data, NAME)
        self.assertEqual(self.store.keys(self.upload(url)), [])
        self.assertEqual(self.store.uploads(self.upload(url)), [])

    @both_ways
    def test_after_a_stop_between_two_requests(self, first, second):
        for size in SIZES:
            with self.subTest(size=size):
                self.new_store()
                beginning, data = self.start(first), os.urandom(size)
                url = self.begin(beginning, NAME)
                self.patch(beginning, url, data)
                self.stop(beginning)
                self.go_on_and_end(url, data, first, second)

    @both_ways
    def test_ended_without_another_byte(self, first, second):
        for size in SIZES:
            if size == 0 and second.name == "go":
                continue  # this release of Go's cannot complete an upload without parts
            with self.subTest(size=size):
                self.new_store()
                beginning, data = self.start(first), os.urandom(size)
                url = self.begin(beginning, NAME)
                self.patch(beginning, url, data)
                self.stop(beginning)
                ending = self.start(second)
                self.finish(ending, self.url_at(ending, url, size), digest(data))
                self.assert_finished(url, data, ending, self.start(first))

    @both_ways
    def test_after_a_kill_in_the_middle_of_a_patch(self, first, second):
        for size in (64 << 10, 3 * PART + 70_000):
            with self.subTest(size=size):
                self.new_store()
                beginning, data = self.start(first), os.urandom(size)
                url = self.begin(beginning, NAME)
                with self.half_sent(beginning, url, data):
                    # All that is sent before the end: a part on the wire might still arrive
                    # after the kill. Go's holds one full part back.
                    parts = max(size // PART - (first.name == "go"), 0)
                    eventually(lambda: self.stored(url) >= parts * PART, "nothing arrives")
                    self.stop(beginning, signal.SIGKILL)
                kept = self.stored(url)
                self.assertLessEqual(kept, size)
                self.go_on_and_end(url, data[:kept], first, second)

    @both_ways
    def test_in_turns(self, first, second):
        peers, data = (self.start(first), self.start(second)), b""
        url = self.begin(peers[0], NAME)
        for turn, size in enumerate((10, 70_000, PART, 1, 300_000, 2 * PART, 5)):
            peer, more = peers[turn % 2], os.urandom(size)
            self.patch(peer, self.url_at(peer, url, len(data)), more)
            data += more
            for peer in peers:
                self.assert_stands_at(peer, url, len(data))
        self.finish(peers[1], self.url_at(peers[1], url, len(data)), digest(data))
        self.assert_finished(url, data, *peers)

    @both_ways
    def test_one_cancels_an_upload_of_the_other(self, first, second):
        beginning, ending = self.start(first), self.start(second)
        for data in (b"", b"some bytes", bytes(PART + 1)):
            url = self.begin(beginning, NAME)
            self.patch(beginning, url, data)
            self.call(ending, "DELETE", self.url_at(ending, url, len(data)), status=204)
            self.assertEqual(self.store.uploads(self.upload(url)), [])
            left = [key for key in self.store.keys(self.upload(url)) if "hashstates" not in key]
            self.assertEqual(left, [])
            self.call(beginning, "GET", url, status=404)

    def stored(self, url):
        """The bytes of an upload that are in the bucket."""
        uploads = self.store.uploads(self.upload(url) + "/data")
        self.assertLessEqual(len(uploads), 1)
        return uploads[0][1] if uploads else 0

    def half_sent(self, peer, url, data):
        """A PATCH that announces more bytes than it sends; answers its connection."""
        target = url[url.index("/v2/"):]
        sock = socket.create_connection(("127.0.0.1", peer.port), timeout=60)
        sock.sendall(f"PATCH {target} HTTP/1.1\r\nHost: peer\r\n"
                     f"Content-Type: application/octet-stream\r\n"
                     f"Content-Length: {len(data) + 1000}\r\n\r\n".encode() + data)
        return sock


def uuid_of(url):
    return path_of(url).rsplit("/", 1)[1]


def path_of(url):
    return url[url.index("/v2/"):].split("?")[0]


if __name__ == "__main__":
    unittest.main()
