"""Two registries on one directory: ours, and the Go registry of Distribution."""
import base64
import contextlib
import functools
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from urllib.parse import parse_qs, urlencode, urlsplit

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "registry"))

import oci_layout  # noqa: E402
from support import (CLEAN_ENV, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST,  # noqa: E402,F401
                     REGISTRY, Reply, Server, digest)

GO = shutil.which("docker-registry", path=os.environ.get("PATH", "") + ":/usr/sbin")
SKOPEO = shutil.which("skopeo")
WANTED = {"REGISTRY_BIN": REGISTRY, "docker-registry": GO, "skopeo": SKOPEO}
MISSING = [name for name, found in WANTED.items() if not found]
SECRET = "the secret of both peers' tests"
LIMIT = 600  # seconds for anything that should take far less
CONFIG = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:0", secret: "{secret}"}}
"""


class Ours:
    """The registry over this library."""
    name = "ours"

    def __init__(self, root, _place):
        self.server = Server(root)
        self.port, self.pid = self.server.port, self.server.process.pid

    def stop(self, how=signal.SIGTERM):
        """End it; a polite request must end it clean."""
        code = self.server.stop(how)
        log = self.server.log()
        self.server.errors.close()
        assert code == (0 if how == signal.SIGTERM else -how), f"exit code {code}\n{log}"


class Go:
    """The registry whose layout it is."""
    name = "go"

    def __init__(self, root, place):
        self.log_file = tempfile.TemporaryFile(dir=place)
        self.process = subprocess.Popen(
            [GO, "serve", go_config(root, place)], stdout=subprocess.DEVNULL,
            stderr=self.log_file, env=CLEAN_ENV, cwd=place)
        self.pid = self.process.pid
        self.port = int(eventually(self._listening, "the Go registry does not listen"))

    def _listening(self):
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log())
        if not found and self.process.poll() is not None:
            raise AssertionError(f"the Go registry ended\n{self.log()}")
        return found and found[1]

    def log(self):
        return os.pread(self.log_file.fileno(), 1 << 20, 0).decode(errors="replace")

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(timeout=LIMIT)
        self.log_file.close()


BOTH_WAYS = ((Ours, Go), (Go, Ours))


def both_ways(test):
    """Run `test(self, first, second)` with either registry as the first."""
    @functools.wraps(test)
    def run(self):
        for first, second in BOTH_WAYS:
            with self.subTest(first=first.name, second=second.name):
                self.new_store()
                test(self, first, second)
    return run


def go_config(root, place):
    path = os.path.join(place, "config.yml")
    with open(path, "w", encoding="utf-8") as out:
        out.write(CONFIG.format(root=root, secret=SECRET))
    return path


def eventually(check, why):
    """Wait until `check` answers something true, and answer that."""
    limit = time.monotonic() + LIMIT
    while time.monotonic() < limit:
        found = check()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(why)


@contextlib.contextmanager
def umask(mask):
    """What is started inside inherits it."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# ---- the state that the Go registry signs into the URL of an upload ---------


def sign(name, uuid, offset, started_at):
    """The `_state` that says: upload `uuid` of repository `name` stands at `offset`."""
    text = json.dumps({"Name": name, "UUID": uuid, "Offset": offset, "StartedAt": started_at},
                      separators=(",", ":")).encode()
    mac = hmac.new(SECRET.encode(), text, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac + text).decode()


def unsign(state):
    """What a `_state` says; whether it is signed right is not looked at."""
    return json.loads(base64.urlsafe_b64decode(state)[hashlib.sha256().digest_size:])


# ---- trees -------------------------------------------------------------------


def tree(root):
    """Every entry below `root`: its mode, and for files the digest of its content."""
    found = {}
    for above, directories, files in os.walk(root):
        for name in ["."] * (above == root) + directories + files:
            path = os.path.join(above, name)
            stat = os.lstat(path)
            content = None
            if name in files:
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
            found[os.path.relpath(path, root)] = (oct(stat.st_mode), content)
    return found


@unittest.skipIf(MISSING and not os.environ.get("SD_TEST_ALL"), f"missing: {MISSING}")
class PeerCase(unittest.TestCase):
    """A fresh store for each test, and registries that end with it."""

    def setUp(self):
        self.assertEqual(MISSING, [])
        place = tempfile.TemporaryDirectory(prefix="peers-test-")
        self.addCleanup(place.cleanup)
        self.top = place.name
        self.root = os.path.join(self.top, "root")
        self.running = []
        self.addCleanup(self.stop_all)
        self.made = 0

    def new_store(self):
        """An empty directory in place of the store of this test."""
        self.stop_all()
        self.made += 1
        self.root = os.path.join(self.top, f"root-{self.made}")

    def start(self, kind, root=None):
        peer = kind(root or self.root, tempfile.mkdtemp(dir=self.top))
        self.running.append(peer)
        return peer

    def stop(self, peer, how=signal.SIGTERM):
        self.running.remove(peer)
        peer.stop(how)

    def stop_all(self):
        while self.running:
            self.stop(self.running[-1])

    def on_disk(self, *parts):
        return os.path.join(self.root, "docker/registry/v2", *parts)

    # ---- raw HTTP ----

    def call(self, peer, method, url, body=None, headers=None, status=None):
        """`url` may be a path, or absolute as the Go registry's Locations are."""
        parts = urlsplit(url)
        path = parts.path + ("?" + parts.query if parts.query else "")
        connection = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=LIMIT)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            reply = Reply(connection.getresponse())
        finally:
            connection.close()
        if status is not None:
            self.assertEqual(reply.status, status,
                             f"{peer.name}: {method} {path}: {reply.body[:500]}")
        return reply

    def begin(self, peer, name="a/b"):
        """Start an upload; answers its URL."""
        reply = self.call(peer, "POST", f"/v2/{name}/blobs/uploads/", b"", status=202)
        return reply.headers["Location"]

    def patch(self, peer, url, data, status=202):
        """Append to an upload; answers its next URL."""
        reply = self.call(peer, "PATCH", url, data,
                          {"Content-Type": "application/octet-stream"}, status)
        return reply.headers["Location"]

    def finish(self, peer, url, wanted, data=b"", status=201):
        return self.call(peer, "PUT", add_query(url, digest=wanted), data,
                         {"Content-Type": "application/octet-stream"}, status)

    def push_blob(self, peer, data, name="a/b"):
        self.finish(peer, self.begin(peer, name), digest(data), data)
        return digest(data)

    def push_image(self, peer, layers, tag, name="a/b", config=b"{}"):
        """Push an image of these layers; answers its manifest."""
        def part(kind, data):
            return {"mediaType": kind, "digest": self.push_blob(peer, data, name),
                    "size": len(data)}
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": part(OCI_CONFIG, config),
            "layers": [part(oci_layout.LAYER, layer) for layer in layers]}).encode()
        self.push_manifest(peer, manifest, tag, name)
        return manifest

    def push_manifest(self, peer, manifest, reference, name="a/b", media_type=OCI_MANIFEST):
        self.call(peer, "PUT", f"/v2/{name}/manifests/{reference}", manifest,
                  {"Content-Type": media_type}, 201)

    def blob_is(self, peer, wanted, data, name="a/b"):
        reply = self.call(peer, "GET", f"/v2/{name}/blobs/{wanted}", status=200)
        self.assertTrue(reply.body == data, f"{peer.name} serves other bytes")
        self.assertEqual(reply.headers["Docker-Content-Digest"], wanted)

    def tags(self, peer, name):
        reply = self.call(peer, "GET", f"/v2/{name}/tags/list")
        if reply.status == 404:
            return None
        self.assertEqual(reply.json()["name"], name)
        return sorted(reply.json()["tags"] or [])  # this release of Go's has them unsorted

    def catalog(self, peer):
        reply = self.call(peer, "GET", "/v2/_catalog?n=1000", status=200)
        return reply.json()["repositories"] or []

    # ---- skopeo ----

    def skopeo(self, *args, check=True):
        done = subprocess.run([SKOPEO, "--insecure-policy", *args], env=CLEAN_ENV, check=False,
                              capture_output=True, text=True, timeout=LIMIT)
        if check:
            self.assertEqual(done.returncode, 0, f"skopeo {args}: {done.stderr}"
                             f"peers: {[(peer.name, peer.port) for peer in self.running]}")
        return done

    def push(self, peer, layout, name, *args):
        """Push what the tag `v1` of the layout names."""
        self.skopeo("copy", "--all", "--dest-tls-verify=false", *args, f"oci:{layout}:v1",
                    f"docker://127.0.0.1:{peer.port}/{name}")

    def pull(self, peer, name):
        """Pull into a fresh layout; answers it and the digest it names."""
        layout = tempfile.mkdtemp(dir=self.top)
        self.skopeo("copy", "--all", "--src-tls-verify=false",
                    f"docker://127.0.0.1:{peer.port}/{name}", f"oci:{layout}:v1")
        with open(os.path.join(layout, "index.json"), encoding="utf-8") as index:
            return layout, json.load(index)["manifests"][0]["digest"]

    def assert_pulls(self, peer, name, layout, wanted):
        """What `peer` serves as `name` is the layout that was pushed, blob by blob."""
        pulled, found = self.pull(peer, name)
        self.assertEqual(found, wanted, f"{peer.name}: {name}")
        self.assertEqual(blobs(pulled), blobs(layout), f"{peer.name}: {name}")
        shutil.rmtree(pulled)

    def layout(self, layers=3, size=3 << 20, files=()):
        """An image layout; answers its path and digest. Layers of the same number and
        size are the same in every layout."""
        path = tempfile.mkdtemp(dir=self.top)
        return path, oci_layout.make(path, files, layers=layers, size=size, tag="v1")

    def index_layout(self):
        """A layout whose tag names an index of two images that share layers."""
        path = tempfile.mkdtemp(dir=self.top)
        platforms = []
        for layers, architecture in ((2, "amd64"), (3, "arm64")):
            oci_layout.make(path, layers=layers, size=layers << 20, tag="v1")
            with open(os.path.join(path, "index.json"), encoding="utf-8") as index:
                (image,) = json.load(index)["manifests"]
            del image["annotations"]
            platforms.append(
                dict(image, platform={"architecture": architecture, "os": "linux"}))
        found = oci_layout.write_json(os.path.join(path, "blobs/sha256"), OCI_INDEX, {
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": platforms})
        named = dict(found, annotations={"org.opencontainers.image.ref.name": "v1"})
        with open(os.path.join(path, "index.json"), "w", encoding="utf-8") as out:
            json.dump({"schemaVersion": 2, "manifests": [named]}, out)
        return path, found["digest"]


def blobs(layout):
    """Digest of the content of each blob of a layout, by its name."""
    folder = os.path.join(layout, "blobs/sha256")
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as blob:
            found[name] = hashlib.file_digest(blob, "sha256").hexdigest()
    return found


def query_of(url):
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


def add_query(url, **more):
    parts = urlsplit(url)
    return parts._replace(query=urlencode({**query_of(url), **more})).geturl()
