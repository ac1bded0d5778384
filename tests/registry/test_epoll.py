#!/usr/bin/env python3
"""epoll_server: one thread, one loop. EXAMPLES_DIR is where it was built."""
import hashlib
import json
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from support import CLEAN_ENV, WRAPPER

EXAMPLES = os.environ.get("EXAMPLES_DIR", "")
MIB = 1 << 20


def open_files(wanted):
    """Allow this process `wanted` descriptors; answers how many there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


class Client:
    """A connection that reads replies one by one."""

    def __init__(self, port, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(120)
        self.sock.connect(("127.0.0.1", port))
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, text):
        self.sock.sendall(text.encode() if isinstance(text, str) else text)

    def more(self):
        data = self.sock.recv(MIB)
        if not data:
            raise EOFError(f"the server left after {self.rest[:200]!r}")
        self.rest += data

    def head(self):
        """The next head: the status and the headers."""
        while b"\r\n\r\n" not in self.rest:
            self.more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        status = int(re.fullmatch(r"HTTP/1\.1 (\d{3}) .+", first)[1])
        return status, dict(line.split(": ", 1) for line in lines)

    def reply(self, method="GET"):
        """The next reply: status, headers, body."""
        status, headers = self.head()
        length = 0 if method == "HEAD" else int(headers["Content-Length"])
        while len(self.rest) < length:
            self.more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return status, headers, body

    def get(self, path, method="GET", extra=""):
        self.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{extra}\r\n")
        return self.reply(method)

    def at_end(self):
        return self.rest == b"" and self.sock.recv(1) == b""


@unittest.skipUnless(EXAMPLES, "EXAMPLES_DIR names no directory")
class EpollCase(unittest.TestCase):
    """A fresh server and store for each test; it must end clean, or the test fails."""

    driver, max_files = "filesystem", None

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="epoll-test-")
        self.addCleanup(shutil.rmtree, self.top)
        self.start()

    def params(self):
        return {"rootdirectory": self.top}

    def start(self):
        def limit():
            if self.max_files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.max_files, self.max_files))
        self.errors = tempfile.TemporaryFile()
        self.server = subprocess.Popen(
            [*WRAPPER, os.path.join(EXAMPLES, "epoll_server"), self.driver,
             json.dumps(self.params()), "0"], env=CLEAN_ENV, preexec_fn=limit,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        line = self.server.stdout.readline()
        self.assertTrue(line.startswith("listening on 127.0.0.1:"), line)
        self.port = int(line.rsplit(":", 1)[1])

    def tearDown(self):
        self.stop()

    def stop(self, how=signal.SIGTERM):
        self.server.send_signal(how)
        code = self.server.wait(timeout=120)
        self.server.stdout.close()
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace")
        self.errors.close()
        self.assertEqual(code, 0, f"the server did not end clean: {said}")
        if not WRAPPER:  # it may have remarks of its own
            self.assertEqual(said, "")

    def put(self, path, data):
        name = os.path.join(self.top, path.lstrip("/"))
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb") as out:
            out.write(data)
        return data

    def client(self, **options):
        client = Client(self.port, **options)
        self.addCleanup(client.sock.close)
        return client

    def proc(self, name):
        with open(f"/proc/{self.server.pid}/{name}", encoding="ascii") as text:
            return text.read()

    def peak_kib(self):
        return int(re.search(r"VmHWM:\s+(\d+) kB", self.proc("status"))[1])

    def cpu_seconds(self):
        fields = self.proc("stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.pid}/fd"))

    def sockets(self):
        fds = f"/proc/{self.server.pid}/fd"
        return sum(os.readlink(f"{fds}/{fd}").startswith("socket:") for fd in os.listdir(fds))

    def eventually(self, check, why):
        limit = time.monotonic() + 180
        while not check():
            self.assertLess(time.monotonic(), limit, why)
            time.sleep(0.02)


class Requests(EpollCase):
    def test_get_and_head_answer_size_and_bytes(self):
        client = self.client()
        for size in (0, 1, 4096, 65_536, 65_537, 3_000_000):
            data = self.put("/some/object", os.urandom(size))
            for method in ("GET", "HEAD"):
                status, headers, body = client.get("/some/object", method)
                self.assertEqual((status, headers["Content-Length"]), (200, str(size)))
                self.assertEqual(body, data if method == "GET" else b"")

    def test_what_is_not_there_and_what_is_no_path(self):
        self.put("/a/file", b"x")
        client = self.client()
        for path, wanted in (("/missing", 404), ("/a", 404), ("/a/file/below", 404), ("/", 404),
                             ("/a/../a/file", 400), ("/a//file", 400), ("/a?x=1", 400),
                             ("relative", 400), ("/" + "x" * 1500, 404)):
            for method in ("GET", "HEAD"):
                with self.subTest(path=path[:40], method=method):
                    self.assertIn(client.get(path, method)[0],
                                  (wanted, 400) if len(path) > 300 else (wanted,))
        self.assertEqual(client.get("/a/file")[2], b"x")

    def test_what_is_no_request_is_refused_and_the_connection_ends(self):
        self.put("/x", b"x")
        for text, wanted in (("nonsense\r\n\r\n", 400), ("GET /x\r\n\r\n", 400),
                             ("GET /x HTTP/2.0\r\n\r\n", 400), ("get /x HTTP/1.1\r\n\r\n", 400),
                             (f"GET /{'x' * 3000} HTTP/1.1\r\n\r\n", 400),
                             (f"GET /x HTTP/1.1\r\nFill: {'x' * 5000}", 431),
                             ("GET /x\xff HTTP/1.1\r\n\r\n".encode("latin-1"), 400),
                             (b"GET /x HTTP/1.1\r\n\0" + b"\r\n" * 2048, 431)):
            with self.subTest(request=text[:30]), Client(self.port) as client:
                client.send(text)
                self.assertEqual(client.reply()[0], wanted)
                if wanted == 431 or isinstance(text, str):
                    self.assertTrue(client.at_end())

    def test_a_long_path_is_not_cut_to_that_of_another_object(self):
        path = "/" + "/".join(["d" * 200] * 10)
        path += "/" + "x" * (2047 - len(path) - 1)
        self.put(path, b"the other one")
        self.assertEqual(self.client().get(path)[2], b"the other one")
        self.assertEqual(self.client().get(path + "more")[0], 400)

    def test_other_methods_are_told_which_there_are(self):
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            with Client(self.port) as client:
                status, headers, _ = client.get("/x", method)
                self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))
                self.assertTrue(client.at_end())

    def test_a_body_is_not_taken_for_the_next_request(self):
        self.put("/x", b"x")
        inner = "GET /x HTTP/1.1\r\n\r\n" * 3
        for method, extra, wanted in (("POST", f"Content-Length: {len(inner)}\r\n", 405),
                                      ("GET", f"content-length:{len(inner)}\r\n", 413),
                                      ("GET", "Transfer-Encoding: chunked\r\n", 413)):
            with Client(self.port) as client:
                client.send(f"{method} /x HTTP/1.1\r\n{extra}\r\n{inner}")
                self.assertEqual(client.reply()[0], wanted)
                self.assertTrue(client.at_end(), "a second reply")
        self.assertEqual(self.client().get("/x", "GET", "Content-Length: 0\r\n")[2], b"x")

    def test_a_refused_body_does_not_take_the_reply_away(self):
        with Client(self.port) as client:
            client.send("PUT /x HTTP/1.1\r\nContent-Length: 500000\r\n\r\n")
            for _ in range(10):
                client.send(bytes(50_000))
                time.sleep(0.01)
            self.assertEqual(client.reply()[0], 405)


class Connections(EpollCase):
    def test_a_connection_serves_many_requests(self):
        data = self.put("/x", b"again")
        client = self.client()
        for _ in range(200):
            self.assertEqual(client.get("/x")[2], data)

    def test_connections_end_where_the_client_says_so(self):
        data = self.put("/x", b"last")
        for text in ("GET /x HTTP/1.0\r\n\r\n", "GET /x HTTP/1.1\r\nConnection: close\r\n\r\n"):
            with Client(self.port) as client:
                client.send(text + text)
                self.assertEqual(client.reply()[2], data)
                self.assertTrue(client.at_end())

    def test_requests_of_one_packet_are_all_answered_in_order(self):
        bodies = [self.put(f"/{n}", os.urandom(n * 40_000)) for n in range(5)]
        client = self.client()
        client.send("".join(f"GET /{n} HTTP/1.1\r\n\r\nHEAD /{n} HTTP/1.1\r\n\r\n"
                            "GET /missing HTTP/1.1\r\n\r\n" for n in range(5)))
        for body in bodies:
            self.assertEqual(client.reply()[2], body)
            self.assertEqual(client.reply("HEAD")[1]["Content-Length"], str(len(body)))
            self.assertEqual(client.reply()[0], 404)

    def test_more_requests_than_the_buffer_holds_are_all_answered(self):
        data, count = self.put("/x", b"many"), 2000
        client = self.client()
        client.send("GET /x HTTP/1.1\r\n\r\n" * count)
        for _ in range(count):
            self.assertEqual(client.reply()[2], data)

    def test_a_request_may_come_byte_by_byte(self):
        data = self.put("/x", b"slow")
        client = self.client()
        for byte in b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n":
            client.send(bytes([byte]))
            time.sleep(0.002)
        self.assertEqual(client.reply()[2], data)

    def test_a_client_that_sends_no_more_still_gets_its_replies(self):
        data = self.put("/x", os.urandom(2_000_000))
        client = self.client()
        client.send("GET /x HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n")
        client.sock.shutdown(socket.SHUT_WR)
        for _ in range(2):
            self.assertEqual(client.reply()[2], data)
        self.assertTrue(client.at_end())

    def test_clients_that_leave_at_any_moment_leave_nothing_behind(self):
        self.put("/x", bytes(4 * MIB))
        first = self.client()
        self.assertEqual(first.get("/x", "HEAD")[0], 200)  # the library's own are open now
        before = self.descriptors()
        for round_ in range(200):
            client = Client(self.port)
            client.send("GET /x HTTP/1.1\r\n\r\n" if round_ % 4 else "GET /x HT")
            if round_ % 3 == 0 and round_ % 4:
                client.sock.recv(100)
            if round_ % 2:  # a reset, not an end
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sock.close()
        self.assertEqual(first.get("/x", "HEAD")[0], 200)
        self.eventually(lambda: self.descriptors() <= before, "descriptors leak")

    def test_a_slow_reader_does_not_stall_the_others(self):
        self.put("/large", bytes(32 * MIB))
        data = self.put("/x", b"quick")
        slow = [self.client(receive_buffer=4096) for _ in range(20)]
        for client in slow:
            client.send("GET /large HTTP/1.1\r\n\r\n")
            client.sock.recv(1)
        started, client = time.monotonic(), self.client()
        for _ in range(100):
            self.assertEqual(client.get("/x")[2], data)
        self.assertLess(time.monotonic() - started, 30)
        spent = self.cpu_seconds()
        time.sleep(0.5)
        self.assertLess(self.cpu_seconds() - spent, 0.3, "it spins while nobody reads")

    def test_the_server_ends_in_the_middle_of_everything(self):
        self.put("/x", bytes(32 * MIB))
        for how in (signal.SIGINT, signal.SIGTERM):
            busy = [self.client() for _ in range(50)]
            for number, client in enumerate(busy):
                client.send("GET /x HTTP/1.1\r\n\r\n" if number % 2 else "GET /")
            busy[1].head()
            self.stop(how)
            self.start()


class Sizes(EpollCase):
    def test_a_large_file_takes_constant_memory(self):
        size = (256 if WRAPPER else 1024) * MIB
        with open(os.path.join(self.top, "sparse"), "wb") as out:
            out.truncate(size)
            out.seek(size - 3)
            out.write(b"end")
        client = self.client()
        client.get("/sparse", "HEAD")
        before = self.peak_kib()
        client.send("GET /sparse HTTP/1.1\r\n\r\n")
        self.assertEqual(client.head()[1]["Content-Length"], str(size))
        left, last = size - len(client.rest), b""
        while left > 0:
            piece = client.sock.recv(MIB)
            self.assertTrue(piece, "cut short")
            left -= len(piece)
            last = (last + piece)[-3:]
        self.assertEqual((left, last), (0, b"end"))
        self.assertLess(self.peak_kib() - before, (64 if WRAPPER else 8) * 1024)

    def test_a_file_that_changes_its_size_never_breaks_the_framing(self):
        path = os.path.join(self.top, "changing")
        self.put("/changing", bytes(8 * MIB))
        client = self.client(receive_buffer=65_536)
        client.send("GET /changing HTTP/1.1\r\n\r\nGET /missing HTTP/1.1\r\n\r\n")
        status, headers = client.head()
        with open(path, "ab") as out:
            out.write(b"x" * MIB)
        left = int(headers["Content-Length"]) - len(client.rest)
        self.assertEqual((status, left + len(client.rest)), (200, 8 * MIB))
        client.rest = client.rest + b""
        while len(client.rest) < 8 * MIB:
            client.more()
        client.rest = client.rest[8 * MIB:]
        self.assertEqual(client.reply()[0], 404)
        with Client(self.port, receive_buffer=65_536) as client:
            client.send("GET /changing HTTP/1.1\r\n\r\n")
            client.head()
            os.truncate(path, MIB)
            with self.assertRaises(EOFError):
                while True:
                    client.more()

    def test_2000_idle_and_200_active_connections_on_one_thread(self):
        idle, active, rounds = (200, 20, 5) if WRAPPER else (2000, 200, 20)
        if open_files(3 * (idle + active) + 100) < 3 * (idle + active) + 100:
            self.skipTest("too few descriptors for this test")
        data = self.put("/x", os.urandom(10_000))
        wanted = hashlib.sha256(data).digest()
        sleepers = [self.client() for _ in range(idle)]
        self.eventually(lambda: self.descriptors() >= idle, "not all are accepted")
        started, selector, done = time.monotonic(), selectors.DefaultSelector(), 0
        for _ in range(active):
            client = self.client()
            client.asked = 0
            selector.register(client.sock, selectors.EVENT_READ, client)
            client.send("GET /x HTTP/1.1\r\n\r\n")
        while done < active * rounds:
            for key, _ in selector.select(60):
                client = key.data
                client.more()
                if not client.rest.endswith(data[-32:]):
                    continue
                status, _, body = client.reply()
                self.assertEqual((status, hashlib.sha256(body).digest()), (200, wanted))
                done, client.asked = done + 1, client.asked + 1
                if client.asked < rounds:
                    client.send("GET /x HTTP/1.1\r\n\r\n")
        selector.close()
        self.assertLess(time.monotonic() - started, 60)
        self.assertEqual(sleepers[0].get("/x")[2], data)
        if not WRAPPER:
            self.assertLess(self.peak_kib(), 100 * 1024)
            # The queue's pool is bounded, whatever the number of clients.
            self.assertLess(int(re.search(r"Threads:\s+(\d+)", self.proc("status"))[1]), 80)


class FewDescriptors(EpollCase):
    max_files = 64

    @unittest.skipIf(WRAPPER, "the wrapper needs descriptors of its own")
    def test_without_descriptors_clients_wait_and_the_server_does_not_spin(self):
        data = self.put("/x", b"at last")
        clients = [self.client() for _ in range(100)]
        # Fewer than its descriptors: each client's calls need some, too.
        taken = (self.max_files - 32) // 3
        self.eventually(lambda: self.sockets() == taken + 1, "not full")
        spent = self.cpu_seconds()
        time.sleep(0.5)
        self.assertLess(self.cpu_seconds() - spent, 0.3, "it spins")
        for client in clients:
            client.send("GET /x HTTP/1.1\r\n\r\n")
        for client in clients:
            status, _, body = client.reply()
            self.assertEqual((status, body), (200, data))
            client.sock.close()


@unittest.skipUnless(EXAMPLES, "EXAMPLES_DIR names no directory")
@unittest.skipIf(WRAPPER, "in a wrapper already")
@unittest.skipUnless(shutil.which("valgrind"), "valgrind is not installed")
class UnderValgrind(unittest.TestCase):
    def test_valgrind_sees_no_leak_and_no_misuse(self):
        kinds = "definite,possible"
        wrapper = ("valgrind --quiet --error-exitcode=9 --leak-check=full "
                   f"--show-leak-kinds={kinds} --errors-for-leak-kinds={kinds}")
        done = subprocess.run(
            [sys.executable, "-m", "unittest", "test_epoll.Requests", "test_epoll.Connections"],
            cwd=os.path.dirname(os.path.abspath(__file__)), check=False, text=True,
            env=dict(os.environ, REGISTRY_WRAPPER=wrapper), stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)


class InMemory(EpollCase):
    driver = "inmemory"

    def params(self):
        return {}

    def test_a_store_in_memory_is_served(self):
        client = self.client()
        for _ in range(50):
            self.assertEqual(client.get("/missing")[0], 404)
        self.assertEqual(client.get("/", "HEAD")[0], 404)
        self.assertEqual(client.get("no/path")[0], 400)


if __name__ == "__main__":
    unittest.main()
