"""What the registry's tests share: the server under test and raw HTTP."""
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

REGISTRY = os.environ.get("REGISTRY_BIN", "")
# The store under test. Tests that look at files or damage them need the filesystem driver.
DRIVER = os.environ.get("REGISTRY_DRIVER", "filesystem")
PARAMS = os.environ.get("REGISTRY_PARAMS", "{}")
needs_files = unittest.skipUnless(DRIVER == "filesystem", "looks at the files of the store")
needs_to_last = unittest.skipIf(DRIVER == "inmemory", "the store ends with the process")
# A command in front of the registry, e.g. "valgrind -q --error-exitcode=9".
WRAPPER = os.environ.get("REGISTRY_WRAPPER", "").split()
# CA bundles and proxies of the environment lead clients on loopback astray.
CLEAN_ENV = {k: v for k, v in os.environ.items()
             if not k.lower().endswith(("_proxy", "_bundle", "_certs"))
             and not k.startswith("SSL_CERT_")}

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
ABSENT = "sha256:" + "0" * 64


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Server:
    """One registry process; a filesystem store lies in `root`."""

    def __init__(self, root, *extra, env=None):
        self.errors = tempfile.TemporaryFile()
        command = [*WRAPPER, REGISTRY, "--listen", "127.0.0.1:0", "--verbose", *extra]
        if "--driver" not in extra:
            command += ["--driver", DRIVER, "--params-json", PARAMS]
            if DRIVER == "filesystem":
                command += ["--param", f"rootdirectory={root}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors,
                                        env=dict(CLEAN_ENV, **env or {}), text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on 127.0.0.1:"):
            self.process.wait()
            raise AssertionError(f"no listening line: {line!r}\n{self.log()}")
        self.port = int(line.rsplit(":", 1)[1])

    def log(self):
        fd = self.errors.fileno()  # the server writes at the offset that seek() would move
        return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")

    def stop(self, how=signal.SIGTERM):
        """End the process; answers its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=180)
        self.process.stdout.close()
        return code


class Reply:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)

    def code(self):
        """The code of the error form, whose shape is checked on the way."""
        assert self.headers["Content-Type"].startswith("application/json"), self.headers
        (error,) = self.json()["errors"]
        assert isinstance(error["message"], str) and error["message"]
        return error["code"]


@unittest.skipUnless(REGISTRY, "REGISTRY_BIN names no registry")
class RegistryCase(unittest.TestCase):
    """A fresh server and store for each test; it must end clean, or the test fails."""

    options = ()  # of the server
    env = None  # its own variables

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="registry-test-")
        self.addCleanup(shutil.rmtree, self.top)
        self.root = os.path.join(self.top, "root")
        self.outside = os.path.join(self.top, "outside")
        self.server = Server(self.root, *self.options, env=self.env)

    def tearDown(self):
        code = self.server.stop()
        if code != 0:
            print(self.server.log())
        self.server.errors.close()
        self.assertEqual(code, 0, "the server did not end clean")

    def restart(self, how=signal.SIGTERM):
        self.server.stop(how)
        self.server.errors.close()
        self.server = Server(self.root, *self.options, env=self.env)

    def on_disk(self, *parts):
        return os.path.join(self.root, "docker/registry/v2", *parts)

    def call(self, method, path, body=None, headers=None, status=None):
        http_ = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        try:
            http_.request(method, path, body=body, headers=headers or {})
            reply = Reply(http_.getresponse())
        finally:
            http_.close()
        if status is not None:
            self.assertEqual(reply.status, status, f"{method} {path}: {reply.body[:500]}")
        return reply

    def refused(self, status, code, method, path, body=None, headers=None):
        reply = self.call(method, path, body, headers, status)
        self.assertEqual(reply.code(), code)
        return reply

    def start(self, name="a/b"):
        """Begin an upload; answers its URL."""
        return self.call("POST", f"/v2/{name}/blobs/uploads/", status=202).headers["Location"]

    def push_blob(self, data, name="a/b"):
        url = self.start(name)
        self.call("PUT", f"{url}?digest={digest(data)}", data, status=201)
        return digest(data)

    def image(self, name="a/b", text=b"{}", layers=(b"layer",), media_type=OCI_MANIFEST):
        """Push the parts of an image; answers its manifest, not yet pushed."""
        def part(kind, data):
            return {"mediaType": kind, "digest": self.push_blob(data, name), "size": len(data)}
        return json.dumps({
            "schemaVersion": 2, "mediaType": media_type, "config": part(OCI_CONFIG, text),
            "layers": [part("application/octet-stream", layer) for layer in layers]}).encode()

    def push_manifest(self, manifest, reference, name="a/b", media_type=OCI_MANIFEST, status=201):
        return self.call("PUT", f"/v2/{name}/manifests/{reference}", manifest,
                         {"Content-Type": media_type}, status)

    def raw(self, head, body=b""):
        """A connection on which a request was sent as is."""
        sock = socket.create_connection(("127.0.0.1", self.server.port), timeout=120)
        sock.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return sock

    def eventually(self, check, why):
        """Wait until `check` answers something true, and answer that."""
        limit = time.monotonic() + 180
        while time.monotonic() < limit:
            found = check()
            if found:
                return found
            time.sleep(0.02)
        self.fail(why)
