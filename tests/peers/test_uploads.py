#!/usr/bin/env python3
"""An upload that one registry began and the other goes on with."""
import os
import signal
import socket
import unittest

from peers import (SECRET, Go, Ours, PeerCase, both_ways, digest, eventually, query_of, sign,
                   unsign)

NAME = "some/image"
SIZES = (0, 1, 64 << 10, (5 << 20) + 3)  # what lies there when the other takes over
MORE = (64 << 10) + 1  # what the other adds


class Uploads(PeerCase):
    def upload(self, url, *parts):
        return self.on_disk("repositories", NAME, "_uploads", uuid_of(url), *parts)

    def started_at(self, url):
        with open(self.upload(url, "startedat"), encoding="ascii") as stored:
            return stored.read()

    def url_at(self, peer, url):
        """The URL by which `peer` goes on with an upload, from what lies on disk."""
        if peer.name == "ours":
            return path_of(url)
        size = os.path.getsize(self.upload(url, "data"))
        return f"{path_of(url)}?_state={sign(NAME, uuid_of(url), size, self.started_at(url))}"


class State(Uploads):
    def test_we_sign_as_the_go_registry_does(self):
        go = self.start(Go)
        url = self.begin(go, NAME)
        for data in (b"", b"12345", bytes(100_000)):
            url = self.patch(go, url, data)
            state = query_of(url)["_state"]
            said = unsign(state)
            self.assertEqual(list(said), ["Name", "UUID", "Offset", "StartedAt"])
            self.assertEqual(said["UUID"], uuid_of(url))
            self.assertEqual(sign(*said.values()), state)
        self.assertEqual((said["Name"], said["Offset"]), (NAME, 100_005))

    def test_the_go_registry_refuses_any_other_state(self):
        """So that an upload which goes on does so because the state is right."""
        ours, go = self.start(Ours), self.start(Go)
        data = b"12345"
        url = self.begin(ours, NAME)
        self.patch(ours, url, data)
        uuid, started = uuid_of(url), self.started_at(url)
        good = sign(NAME, uuid, 5, started)
        for bad in (sign(NAME, uuid, 4, started), sign(NAME, uuid, 6, started),
                    sign("other", uuid, 5, started), good[:43] + "A" + good[44:], ""):
            reply = self.call(go, "PATCH", f"{path_of(url)}?_state={bad}", b"x")
            self.assertIn(reply.status, (400, 404, 416), bad)
        with open(self.upload(url, "data"), "rb") as stored:
            self.assertEqual(stored.read(), data)
        self.finish(go, f"{path_of(url)}?_state={good}", digest(data))
        self.assertNotIn(SECRET, good)


class Continued(Uploads):
    def assert_finished(self, url, data, *peers):
        for peer in peers:
            self.blob_is(peer, digest(data), data, NAME)
        self.assertFalse(os.path.exists(self.upload(url)))

    def go_on_and_end(self, url, data, first, second):
        """Go on with `data` by one more PATCH and a PUT with a body, on `second`."""
        self.assert_stands_at(second, url, len(data))
        data += os.urandom(MORE)
        self.patch(second, self.url_at(second, url), data[-MORE:])
        self.assert_stands_at(second, url, len(data))
        end = b"the end"
        self.finish(second, self.url_at(second, url), digest(data + end), end)
        self.assert_finished(url, data + end, second, self.start(first))

    def assert_stands_at(self, peer, url, size):
        reply = self.call(peer, "GET", self.url_at(peer, url), status=204)
        self.assertEqual(reply.headers["Range"], f"0-{max(size, 1) - 1}")
        self.assertEqual(reply.headers["Docker-Upload-UUID"], uuid_of(url))

    @both_ways
    def test_after_a_stop_between_two_requests(self, first, second):
        for size in SIZES:
            with self.subTest(size=size):
                self.new_store()
                beginning, data = self.start(first), os.urandom(size)
                url = self.begin(beginning, NAME)
                self.patch(beginning, url, data)
                self.stop(beginning)
                self.go_on_and_end(url, data, first, self.start(second))

    @both_ways
    def test_after_a_stop_before_the_first_byte(self, first, second):
        beginning = self.start(first)
        url = self.begin(beginning, NAME)
        self.stop(beginning)
        self.go_on_and_end(url, b"", first, self.start(second))

    @both_ways
    def test_ended_without_another_byte(self, first, second):
        for size in SIZES:
            with self.subTest(size=size):
                self.new_store()
                beginning, data = self.start(first), os.urandom(size)
                url = self.begin(beginning, NAME)
                self.patch(beginning, url, data)
                self.stop(beginning)
                ending = self.start(second)
                self.finish(ending, self.url_at(ending, url), digest(data))
                self.assert_finished(url, data, ending, self.start(first))

    @both_ways
    def test_after_a_kill_in_the_middle_of_a_patch(self, first, second):
        for size in SIZES:
            with self.subTest(size=size):
                self.new_store()
                beginning, data = self.start(first), os.urandom(size)
                url = self.begin(beginning, NAME)
                with self.half_sent(beginning, url, data):
                    # 64 KiB may wait in memory on either side, and are lost then.
                    eventually(lambda: os.path.getsize(self.upload(url, "data")) >=
                               size - (64 << 10), "nothing arrives on disk")
                    self.stop(beginning, signal.SIGKILL)
                kept = os.path.getsize(self.upload(url, "data"))
                with open(self.upload(url, "data"), "rb") as stored:
                    self.assertTrue(stored.read() == data[:kept], "other bytes were stored")
                self.go_on_and_end(url, data[:kept], first, self.start(second))

    @both_ways
    def test_after_a_kill_that_follows_a_patch(self, first, second):
        """What was acknowledged is there, all of it."""
        for size in SIZES:
            with self.subTest(size=size):
                self.new_store()
                beginning, data = self.start(first), os.urandom(size)
                url = self.patch(beginning, self.begin(beginning, NAME), data)
                with self.half_sent(beginning, url, b""):
                    self.stop(beginning, signal.SIGKILL)
                self.go_on_and_end(url, data, first, self.start(second))

    @both_ways
    def test_in_turns(self, first, second):
        peers, data = (self.start(first), self.start(second)), b""
        url = self.begin(peers[0], NAME)
        for turn, size in enumerate((10, 70_000, 1, 0, 300_000, 4096, 5)):
            peer, more = peers[turn % 2], os.urandom(size)
            self.patch(peer, self.url_at(peer, url), more)
            data += more
            for peer in peers:
                self.assert_stands_at(peer, url, len(data))
        self.finish(peers[1], self.url_at(peers[1], url), digest(data))
        self.assert_finished(url, data, *peers)

    @both_ways
    def test_other_bytes_than_announced_are_found_out(self, first, second):
        beginning, ending = self.start(first), self.start(second)
        url = self.begin(beginning, NAME)
        self.patch(beginning, url, b"some bytes")
        wanted = digest(b"other bytes")
        self.finish(ending, self.url_at(ending, url), wanted, status=400)
        for peer in (beginning, ending):
            self.call(peer, "GET", f"/v2/{NAME}/blobs/{wanted}", status=404)

    @both_ways
    def test_one_cancels_an_upload_of_the_other(self, first, second):
        beginning, ending = self.start(first), self.start(second)
        for data in (b"", b"some bytes"):
            url = self.begin(beginning, NAME)
            self.patch(beginning, url, data)
            self.call(ending, "DELETE", self.url_at(ending, url), status=204)
            # This release of Go's writes its hash state once more, after the delete.
            left = os.listdir(self.upload(url)) if os.path.exists(self.upload(url)) else []
            self.assertEqual(left, ["hashstates"] if ending.name == "go" else [])
            self.call(beginning, "GET", url, status=404)

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
