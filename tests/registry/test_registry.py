#!/usr/bin/env python3
"""The example registry over raw HTTP. REGISTRY_BIN names the program."""
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import time
import unittest
from urllib.parse import parse_qs, urlsplit

from support import (ABSENT, DOCKER_MANIFEST, DRIVER, OCI_INDEX, OCI_MANIFEST, RegistryCase,
                     digest, needs_files, needs_to_last)

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


class Base(RegistryCase):
    def test_version_check_answers_an_empty_object(self):
        reply = self.call("GET", "/v2/", status=200)
        self.assertEqual(reply.json(), {})
        self.assertEqual(reply.headers["Docker-Distribution-Api-Version"], "registry/2.0")

    def test_unknown_urls_and_methods_are_refused(self):
        self.refused(404, "UNSUPPORTED", "GET", "/")
        self.refused(404, "UNSUPPORTED", "GET", "/v2/a/b/nothing")
        reply = self.refused(405, "UNSUPPORTED", "POST", "/v2/a/b/manifests/v1")
        self.assertEqual(reply.headers["Allow"], "GET, PUT, DELETE")

    @needs_files
    def test_names_are_checked_before_the_store_is_asked(self):
        for name in ("A", "a//b", "a/", "-a", "a-", "a..b", "a___b", "a/../b", "a%2e%2e/b",
                     "_a", "a/_b", "a.", "a%20b", "x" * 256, "a%0a", "%c3%a9"):
            with self.subTest(name=name):
                self.refused(400, "NAME_INVALID", "GET", f"/v2/{name}/tags/list")
                self.refused(400, "NAME_INVALID", "POST", f"/v2/{name}/blobs/uploads/")
        self.assertEqual(os.listdir(self.root) if os.path.isdir(self.root) else [], [])

    def test_names_may_hold_the_words_of_the_urls(self):
        for name in ("blobs/uploads", "tags/list", "manifests", "a/blobs", "a/manifests/b",
                     "a.b_c__d---e/0", "x" * 255):
            with self.subTest(name=name[:20]):
                self.push_manifest(self.image(name), "v1", name)
                self.assertEqual(self.call("GET", f"/v2/{name}/tags/list").json(),
                                 {"name": name, "tags": ["v1"]})

    def test_digests_and_tags_are_checked(self):
        for bad in ("sha256:12", "sha256:" + "A" * 64, "sha512:" + "0" * 128, "md5:00", "zz"):
            with self.subTest(digest=bad):
                self.refused(400, "DIGEST_INVALID", "GET", f"/v2/a/blobs/{bad}")
                self.refused(400, "DIGEST_INVALID", "POST",
                             f"/v2/a/blobs/uploads/?digest={bad}", b"x")
        self.refused(400, "DIGEST_INVALID", "GET", "/v2/a/manifests/sha256:12")
        for bad in (".v1", "-v1", "t" * 129, "a%20b"):
            with self.subTest(tag=bad):
                self.refused(404, "MANIFEST_UNKNOWN", "GET", f"/v2/a/manifests/{bad}")
                self.refused(400, "MANIFEST_INVALID", "PUT", f"/v2/a/manifests/{bad}", b"{}")


class Blobs(RegistryCase):
    def test_a_blob_comes_back_as_it_was_pushed(self):
        data = os.urandom(3 << 20)
        self.push_blob(data)
        for method in ("GET", "HEAD"):
            reply = self.call(method, f"/v2/a/b/blobs/{digest(data)}", status=200)
            self.assertEqual(reply.headers["Content-Length"], str(len(data)))
            self.assertEqual(reply.headers["Docker-Content-Digest"], digest(data))
            self.assertEqual(reply.headers["Content-Type"], "application/octet-stream")
            self.assertEqual(reply.body, data if method == "GET" else b"")

    def test_an_empty_blob_can_be_pushed_and_pulled(self):
        self.push_blob(b"")
        reply = self.call("GET", f"/v2/a/b/blobs/{digest(b'')}", status=200)
        self.assertEqual((reply.body, reply.headers["Content-Length"]), (b"", "0"))

    def test_an_unknown_blob_is_blob_unknown(self):
        self.refused(404, "BLOB_UNKNOWN", "GET", f"/v2/a/b/blobs/{ABSENT}")
        self.assertEqual(self.call("HEAD", f"/v2/a/b/blobs/{ABSENT}").status, 404)
        self.push_blob(b"x", "other")
        self.refused(404, "BLOB_UNKNOWN", "GET", f"/v2/a/b/blobs/{digest(b'x')}")

    def test_ranges(self):
        data = os.urandom(700_001)
        url = f"/v2/a/b/blobs/{self.push_blob(data)}"
        size = len(data)
        for text, first, last in (("0-0", 0, 0), ("5-", 5, size - 1), ("10-19", 10, 19),
                                  (f"{size - 1}-", size - 1, size - 1), ("-7", size - 7, size - 1),
                                  (f"3-{size * 2}", 3, size - 1), (f"-{size * 2}", 0, size - 1)):
            with self.subTest(range=text):
                reply = self.call("GET", url, headers={"Range": f"bytes={text}"}, status=206)
                self.assertEqual(reply.body, data[first:last + 1])
                self.assertEqual(reply.headers["Content-Range"], f"bytes {first}-{last}/{size}")
                self.assertEqual(reply.headers["Content-Length"], str(last - first + 1))
        for text in (f"{size}-", f"{size + 5}-{size + 9}", "-0"):
            with self.subTest(range=text):
                reply = self.refused(416, "RANGE_INVALID", "GET", url,
                                     headers={"Range": f"bytes={text}"})
                self.assertEqual(reply.headers["Content-Range"], f"bytes */{size}")
        for text in ("bytes=0-1,4-5", "bytes=9-2", "bytes=x-", "lines=1-2"):
            with self.subTest(range=text):
                reply = self.call("GET", url, headers={"Range": text}, status=200)
                self.assertEqual(len(reply.body), size)

    def test_delete_unlinks_the_blob_in_this_repository_only(self):
        self.push_blob(b"shared", "a")
        self.push_blob(b"shared", "b")
        url = f"blobs/{digest(b'shared')}"
        self.call("DELETE", f"/v2/a/{url}", status=202)
        self.refused(404, "BLOB_UNKNOWN", "GET", f"/v2/a/{url}")
        self.refused(404, "BLOB_UNKNOWN", "DELETE", f"/v2/a/{url}")
        self.assertEqual(self.call("GET", f"/v2/b/{url}", status=200).body, b"shared")

    def test_many_clients_push_and_pull_at_once(self):
        blobs = [bytes([n]) * (100_000 + n) for n in range(32)]
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            digests = list(pool.map(self.push_blob, blobs + blobs))
            pulled = pool.map(lambda d: self.call("GET", f"/v2/a/b/blobs/{d}").body, digests)
            self.assertEqual(list(pulled), blobs + blobs)


class Uploads(RegistryCase):
    def size(self, url):
        return self.call("GET", url, status=204).headers["Range"]

    @needs_files
    def test_start_answers_where_to_go_on(self):
        reply = self.call("POST", "/v2/a/b/blobs/uploads/", status=202)
        uuid = reply.headers["Docker-Upload-UUID"]
        self.assertRegex(uuid, f"^{UUID}$")
        self.assertEqual(reply.headers["Location"], f"/v2/a/b/blobs/uploads/{uuid}")
        self.assertEqual(reply.headers["Range"], "0-0")
        folder = self.on_disk("repositories/a/b/_uploads", uuid)
        self.assertEqual(sorted(os.listdir(folder)), ["data", "startedat"])
        with open(os.path.join(folder, "startedat"), encoding="ascii") as text:
            self.assertRegex(text.read(), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_one_post_can_hold_the_whole_blob(self):
        reply = self.call("POST", f"/v2/a/b/blobs/uploads/?digest={digest(b'all')}", b"all",
                          status=201)
        self.assertEqual(reply.headers["Location"], f"/v2/a/b/blobs/{digest(b'all')}")
        self.assertEqual(self.call("GET", reply.headers["Location"], status=200).body, b"all")

    def test_chunks_with_ranges_and_a_last_one_in_put(self):
        data, url = os.urandom(1_000_000), self.start()
        for first, last in ((0, 299_999), (300_000, 300_000), (300_001, 899_999)):
            reply = self.call("PATCH", url, data[first:last + 1],
                              {"Content-Range": f"{first}-{last}"}, 202)
            self.assertEqual(reply.headers["Range"], f"0-{last}")
            self.assertEqual(reply.headers["Location"], url)
            self.assertEqual(self.size(url), f"0-{last}")
        reply = self.call("PUT", f"{url}?digest={digest(data)}", data[900_000:],
                          {"Content-Range": "900000-999999"}, 201)
        self.assertEqual(reply.headers["Docker-Content-Digest"], digest(data))
        self.assertEqual(self.call("GET", reply.headers["Location"]).body, data)
        self.refused(404, "BLOB_UPLOAD_UNKNOWN", "GET", url)

    def test_a_stream_without_range_or_length(self):
        pieces, url = [os.urandom(50_000) for _ in range(20)], self.start()
        reply = self.call("PATCH", url, iter(pieces), status=202)  # goes out chunked
        self.assertEqual(reply.headers["Range"], "0-999999")
        data = b"".join(pieces)
        self.call("PUT", f"{url}?digest={digest(data)}", status=201)
        self.assertEqual(self.call("GET", f"/v2/a/b/blobs/{digest(data)}").body, data)

    def test_a_chunk_that_does_not_fit_is_refused_with_the_current_range(self):
        url = self.start()
        self.call("PATCH", url, b"01234", status=202)
        for method, target in (("PATCH", url), ("PUT", f"{url}?digest={ABSENT}")):
            for text in ("0-4", "6-10", "4-8"):
                with self.subTest(method=method, range=text):
                    reply = self.refused(416, "BLOB_UPLOAD_INVALID", method, target, b"56789",
                                         {"Content-Range": text})
                    self.assertEqual(reply.headers["Range"], "0-4")
                    self.assertEqual(reply.headers["Location"], url)
        self.refused(400, "SIZE_INVALID", "PATCH", url, b"56789", {"Content-Range": "5-10"})
        for text in ("five", "5", "9-5", "bytes 5-9"):
            self.refused(400, "BLOB_UPLOAD_INVALID", "PATCH", url, b"56789",
                         {"Content-Range": text})
        self.call("PATCH", url, b"56789", {"Content-Range": "5-9"}, 202)
        self.call("PUT", f"{url}?digest={digest(b'0123456789')}", status=201)

    def test_a_refused_large_chunk_leaves_the_connection_readable(self):
        url = self.start()
        self.refused(416, "BLOB_UPLOAD_INVALID", "PATCH", url, bytes(8 << 20),
                     {"Content-Range": f"7-{(8 << 20) + 6}"})
        self.assertEqual(self.size(url), "0-0")

    @needs_files
    def test_put_needs_a_right_digest(self):
        url = self.start()
        self.call("PATCH", url, b"content", status=202)
        self.refused(400, "DIGEST_INVALID", "PUT", url)
        self.refused(400, "DIGEST_INVALID", "PUT", f"{url}?digest=sha256:1")
        reply = self.refused(400, "DIGEST_INVALID", "PUT", f"{url}?digest={ABSENT}")
        self.assertEqual(reply.json()["errors"][0]["detail"], {"digest": digest(b"content")})
        self.refused(404, "BLOB_UPLOAD_UNKNOWN", "GET", url)
        self.assertFalse(os.path.exists(self.on_disk("blobs")))

    def test_unknown_uploads(self):
        uuid = "123e4567-e89b-42d3-a456-426614174000"
        for bad in (uuid, "zzz", uuid.upper()):
            for method in ("GET", "PATCH", "DELETE"):
                self.refused(404, "BLOB_UPLOAD_UNKNOWN", method, f"/v2/a/b/blobs/uploads/{bad}")
            self.refused(404, "BLOB_UPLOAD_UNKNOWN", "PUT",
                         f"/v2/a/b/blobs/uploads/{bad}?digest={ABSENT}", b"x")
        url = self.start("a/b")
        self.refused(404, "BLOB_UPLOAD_UNKNOWN", "GET", url.replace("a/b", "a/c"))

    @needs_files
    def test_delete_ends_an_upload(self):
        url = self.start()
        self.call("PATCH", url, b"some", status=202)
        self.call("DELETE", url, status=204)
        self.refused(404, "BLOB_UPLOAD_UNKNOWN", "GET", url)
        self.assertEqual(os.listdir(self.on_disk("repositories/a/b/_uploads")), [])

    @needs_files
    def test_a_finished_upload_leaves_blob_and_link_only(self):
        hexed = self.push_blob(b"bytes")[7:]
        self.assertEqual(os.listdir(self.on_disk("repositories/a/b/_uploads")), [])
        with open(self.on_disk("blobs/sha256", hexed[:2], hexed, "data"), "rb") as data:
            self.assertEqual(data.read(), b"bytes")
        with open(self.on_disk("repositories/a/b/_layers/sha256", hexed, "link"), "rb") as link:
            self.assertEqual(link.read(), f"sha256:{hexed}".encode())

    def test_mount_links_a_blob_of_another_repository(self):
        found = self.push_blob(b"shared", "from/here")
        reply = self.call("POST", f"/v2/to/there/blobs/uploads/?mount={found}&from=from/here",
                          status=201)
        self.assertEqual(reply.headers["Location"], f"/v2/to/there/blobs/{found}")
        self.assertEqual(self.call("GET", reply.headers["Location"], status=200).body, b"shared")

    def test_mount_falls_back_to_an_upload(self):
        found = self.push_blob(b"shared", "from/here")
        for query in (f"mount={found}&from=not/there", f"mount={ABSENT}&from=from/here",
                      f"mount={found}", f"mount={found}&from=A", "mount=bad&from=from/here"):
            reply = self.call("POST", f"/v2/to/there/blobs/uploads/?{query}", status=202)
            self.assertRegex(reply.headers["Location"], f"/v2/to/there/blobs/uploads/{UUID}")

    @needs_to_last
    def test_an_upload_goes_on_after_the_server_was_replaced(self):
        data, url = os.urandom(500_000), self.start()
        self.call("PATCH", url, data[:200_000], status=202)
        self.restart()
        self.assertEqual(self.size(url), "0-199999")
        self.call("PATCH", url, data[200_000:400_000], {"Content-Range": "200000-399999"}, 202)
        self.restart(signal.SIGKILL)
        self.assertEqual(self.size(url), "0-399999")
        self.call("PUT", f"{url}?digest={digest(data)}", data[400_000:], status=201)
        self.assertEqual(self.call("GET", f"/v2/a/b/blobs/{digest(data)}").body, data)

    def test_the_bytes_of_a_client_that_vanishes_are_kept(self):
        data, url = os.urandom(3_000_000), self.start()
        sock = self.raw(f"PATCH {url} HTTP/1.1\nHost: x\nContent-Length: {len(data)}",
                        data[:1_000_000])
        sock.close()
        self.eventually(lambda: self.call("GET", url).headers["Range"] == "0-999999",
                        "the bytes do not turn up")
        self.call("PATCH", url, data[1_000_000:], {"Content-Range": "1000000-2999999"}, 202)
        self.call("PUT", f"{url}?digest={digest(data)}", status=201)

    @needs_to_last
    def test_stopping_the_server_keeps_the_bytes_of_open_requests(self):
        url = self.start()
        with self.raw(f"PATCH {url} HTTP/1.1\nHost: x\nContent-Length: 100000", b"x" * 5000):
            self.eventually(lambda: self.call("GET", url).status == 409, "never busy")
            time.sleep(0.2)  # the bytes were sent; let them be read
            self.restart()
        self.assertEqual(self.size(url), "0-4999")

    def test_two_requests_on_one_upload_do_not_mix(self):
        url = self.start()
        with self.raw(f"PATCH {url} HTTP/1.1\nHost: x\nContent-Length: 10", b"01234") as first:
            self.eventually(lambda: self.call("GET", url).status == 409, "never busy")
            self.refused(409, "BLOB_UPLOAD_INVALID", "PATCH", url, b"zzzzz")
            self.refused(409, "BLOB_UPLOAD_INVALID", "PUT", f"{url}?digest={ABSENT}")
            self.refused(409, "BLOB_UPLOAD_INVALID", "DELETE", url)
            first.sendall(b"56789")
            self.assertIn(b" 202 ", first.recv(4096))
        self.assertEqual(self.size(url), "0-9")
        self.call("PUT", f"{url}?digest={digest(b'0123456789')}", status=201)

    def test_expect_continue_is_refused_before_the_body(self):
        with self.raw("PATCH /v2/a/b/blobs/uploads/123e4567-e89b-42d3-a456-426614174000 HTTP/1.1\n"
                      "Host: x\nContent-Length: 1000000\nExpect: 100-continue") as sock:
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 404 "))

    def test_pushing_a_blob_again_is_fine(self):
        self.push_blob(b"twice")
        self.push_blob(b"twice")
        self.push_blob(b"twice", "c")
        self.assertEqual(self.call("GET", f"/v2/c/blobs/{digest(b'twice')}").body, b"twice")


class Manifests(RegistryCase):
    def test_a_manifest_comes_back_by_tag_and_digest(self):
        for media_type in (OCI_MANIFEST, DOCKER_MANIFEST):
            manifest = self.image(text=media_type.encode(), media_type=media_type)
            reply = self.push_manifest(manifest, "v1", media_type=media_type)
            self.assertEqual(reply.headers["Docker-Content-Digest"], digest(manifest))
            self.assertEqual(reply.headers["Location"], f"/v2/a/b/manifests/{digest(manifest)}")
            for reference in ("v1", digest(manifest)):
                for method in ("GET", "HEAD"):
                    got = self.call(method, f"/v2/a/b/manifests/{reference}", status=200)
                    self.assertEqual(got.headers["Content-Type"], media_type)
                    self.assertEqual(got.headers["Docker-Content-Digest"], digest(manifest))
                    self.assertEqual(got.headers["Content-Length"], str(len(manifest)))
                    self.assertEqual(got.body, manifest if method == "GET" else b"")

    @needs_files
    def test_the_links_lie_where_distribution_looks(self):
        manifest = self.image()
        self.push_manifest(manifest, "v1")
        base = self.on_disk("repositories/a/b/_manifests")
        hexed = digest(manifest)[7:]
        for path in (f"revisions/sha256/{hexed}/link", "tags/v1/current/link",
                     f"tags/v1/index/sha256/{hexed}/link"):
            with open(os.path.join(base, path), encoding="ascii") as link:
                self.assertEqual(link.read(), digest(manifest))

    def test_oci_manifests_need_no_media_type(self):
        plain = json.loads(self.image())
        del plain["mediaType"]
        manifest = json.dumps(plain).encode()
        self.push_manifest(manifest, "v1")
        self.assertEqual(self.call("GET", "/v2/a/b/manifests/v1").headers["Content-Type"],
                         OCI_MANIFEST)
        child = {"mediaType": OCI_MANIFEST, "digest": digest(manifest), "size": len(manifest)}
        index = json.dumps({"schemaVersion": 2, "manifests": [child]}).encode()
        self.push_manifest(index, "all", media_type=OCI_INDEX)
        self.assertEqual(self.call("GET", "/v2/a/b/manifests/all").headers["Content-Type"],
                         OCI_INDEX)

    def test_what_a_manifest_names_must_be_there(self):
        manifest = json.loads(self.image())
        for place in ("config", "layers"):
            broken = json.loads(json.dumps(manifest))
            target = broken[place] if place == "config" else broken[place][0]
            target["digest"] = ABSENT
            reply = self.refused(404, "MANIFEST_BLOB_UNKNOWN", "PUT", "/v2/a/b/manifests/v1",
                                 json.dumps(broken).encode())
            self.assertEqual(reply.json()["errors"][0]["detail"], {"digest": ABSENT})
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX,
                 "manifests": [{"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 1}]}
        self.refused(404, "MANIFEST_BLOB_UNKNOWN", "PUT", "/v2/a/b/manifests/v1",
                     json.dumps(index).encode())
        self.refused(404, "MANIFEST_UNKNOWN", "GET", "/v2/a/b/manifests/v1")
        manifest["layers"][0].update(digest=ABSENT, urls=["https://example.com/layer"])
        self.push_manifest(json.dumps(manifest).encode(), "foreign")

    def test_bad_manifests_are_refused(self):
        good = json.loads(self.image())
        url = "/v2/a/b/manifests/v1"
        for bad in (b"", b"{", b"[]", b'"text"', b"{}", b"\xff\xfe", b"null",
                    json.dumps(dict(good, schemaVersion=1)).encode(),
                    json.dumps(dict(good, mediaType="text/plain")).encode(),
                    json.dumps(dict(good, layers={})).encode(),
                    json.dumps(dict(good, layers=[{}])).encode(),
                    json.dumps(dict(good, config=3)).encode(),
                    b'{"a":' * 5000):
            with self.subTest(manifest=bad[:60]):
                self.refused(400, "MANIFEST_INVALID", "PUT", url, bad)
        self.refused(400, "MANIFEST_INVALID", "PUT", url, json.dumps(good).encode(),
                     {"Content-Type": DOCKER_MANIFEST})
        self.refused(400, "DIGEST_INVALID", "PUT", f"/v2/a/b/manifests/{ABSENT}",
                     json.dumps(good).encode())

    def test_manifests_end_at_4_mib(self):
        good = json.loads(self.image())
        good["annotations"] = {"fill": ""}
        room = (4 << 20) - len(json.dumps(good))
        good["annotations"]["fill"] = "x" * room
        self.push_manifest(json.dumps(good).encode(), "full")
        self.assertEqual(len(self.call("GET", "/v2/a/b/manifests/full").body), 4 << 20)
        good["annotations"]["fill"] += "x"
        self.refused(413, "MANIFEST_INVALID", "PUT", "/v2/a/b/manifests/more",
                     json.dumps(good).encode())

    def test_a_tag_can_be_moved(self):
        first, second = self.image(text=b"1"), self.image(text=b"2")
        self.push_manifest(first, "v1")
        self.push_manifest(second, "v1")
        self.assertEqual(self.call("GET", "/v2/a/b/manifests/v1").body, second)
        self.assertEqual(self.call("GET", f"/v2/a/b/manifests/{digest(first)}").body, first)

    def test_delete_by_digest_removes_the_tags_that_point_there(self):
        first, second = self.image(text=b"1"), self.image(text=b"2")
        for tag in ("one", "uno"):
            self.push_manifest(first, tag)
        self.push_manifest(second, "two")
        self.call("DELETE", f"/v2/a/b/manifests/{digest(first)}", status=202)
        for reference in ("one", "uno", digest(first)):
            self.refused(404, "MANIFEST_UNKNOWN", "GET", f"/v2/a/b/manifests/{reference}")
        self.refused(404, "MANIFEST_UNKNOWN", "DELETE", f"/v2/a/b/manifests/{digest(first)}")
        self.assertEqual(self.call("GET", "/v2/a/b/tags/list").json()["tags"], ["two"])
        self.assertEqual(self.call("GET", "/v2/a/b/manifests/two").body, second)

    def test_delete_by_tag_keeps_the_revision(self):
        manifest = self.image()
        self.push_manifest(manifest, "v1")
        self.call("DELETE", "/v2/a/b/manifests/v1", status=202)
        self.refused(404, "MANIFEST_UNKNOWN", "DELETE", "/v2/a/b/manifests/v1")
        self.refused(404, "MANIFEST_UNKNOWN", "GET", "/v2/a/b/manifests/v1")
        self.call("GET", f"/v2/a/b/manifests/{digest(manifest)}", status=200)
        self.assertEqual(self.call("GET", "/v2/a/b/tags/list").json()["tags"], [])


class Observed(RegistryCase):
    options = ("--metrics",)

    def test_metrics_count_what_was_asked_of_the_store(self):
        self.push_blob(b"counted")
        reply = self.call("GET", "/metrics", status=200)
        self.assertEqual(reply.headers["Content-Type"],
                         "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.assertTrue(reply.body.endswith(b"# EOF\n"))

        def count(text, action):
            found = re.search(r"^registry_storage_action_seconds_count\{([^}]*"
                              rf'action="{action}"[^}}]*)\}} (\d+)$', text.decode(), re.M)
            self.assertIn(f'driver="{DRIVER}"', found[1])
            return int(found[2])
        self.assertGreater(count(reply.body, "Commit"), 0)
        for _ in range(3):
            self.call("GET", f"/v2/a/b/blobs/{digest(b'counted')}", status=200)
        after = self.call("GET", "/metrics").body
        self.assertEqual(count(after, "Reader"), count(reply.body, "Reader") + 3)
        self.assertEqual(self.call("HEAD", "/metrics", status=200).body, b"")
        self.call("PUT", "/metrics", b"", status=405)

    def test_verbose_logs_requests_and_calls_of_the_store(self):
        self.push_blob(b"logged")
        self.restart()
        self.call("GET", "/v2/a/b/blobs/" + ABSENT, status=404)

        def logged():
            log = self.server.log()
            return (re.search(rf"^GET /v2/a/b/blobs/{ABSENT} 404 ", log, re.M)
                    and re.search(r"^store debug: \w+ took \d+ us: .*\{.*\}$", log, re.M))
        self.eventually(logged, "not in the log")


class Unobserved(RegistryCase):
    def test_metrics_are_served_only_if_asked_for(self):
        self.refused(404, "UNSUPPORTED", "GET", "/metrics")


class Listings(RegistryCase):
    def pages(self, url, key):
        """Follow the Link headers from `url`; answers each page's list."""
        found = []
        while url:
            reply = self.call("GET", url, status=200)
            found.append(reply.json()[key])
            link = reply.headers["Link"]
            url = re.fullmatch(r'<([^>]+)>; rel="next"', link)[1] if link else None
            self.assertLess(len(found), 100, "the pages do not end")
        return found

    def test_tags_in_pages(self):
        manifest, tags = self.image(), ["1.0", "1.0-rc", "A", "_x", "a", "b.c", "latest"]
        for tag in reversed(tags):
            self.push_manifest(manifest, tag)
        url = "/v2/a/b/tags/list"
        self.assertEqual(self.call("GET", url).json(), {"name": "a/b", "tags": tags})
        self.assertEqual(self.pages(f"{url}?n=3", "tags"), [tags[:3], tags[3:6], tags[6:]])
        self.assertEqual(self.pages(f"{url}?n=7", "tags"), [tags])
        self.assertEqual(self.pages(f"{url}?n=100", "tags"), [tags])
        self.assertEqual(self.pages(f"{url}?last=A", "tags"), [tags[3:]])
        self.assertEqual(self.pages(f"{url}?last=ab&n=1", "tags"), [["b.c"], ["latest"]])
        self.assertEqual(self.pages(f"{url}?last=zzz", "tags"), [[]])
        self.assertEqual(self.pages(f"{url}?n=0", "tags"), [[]])
        for bad in ("-1", "x", "", "99999999999999999999"):
            self.refused(400, "PAGINATION_NUMBER_INVALID", "GET", f"{url}?n={bad}")
        self.refused(400, "NAME_INVALID", "GET", f"{url}?last=../x")

    def test_tags_of_an_unknown_repository(self):
        self.refused(404, "NAME_UNKNOWN", "GET", "/v2/a/b/tags/list")
        self.push_manifest(self.image("a/b/c"), "v1", "a/b/c")
        self.refused(404, "NAME_UNKNOWN", "GET", "/v2/a/b/tags/list")
        self.push_blob(b"only a blob")
        self.assertEqual(self.call("GET", "/v2/a/b/tags/list").json()["tags"], [])

    def test_catalog_in_pages(self):
        self.assertEqual(self.call("GET", "/v2/_catalog").json(), {"repositories": []})
        names = ["0", "a", "a/1", "a/b", "a/b/c", "a-b", "a-b/x", "ab", "z/z/z/z"]
        for name in reversed(names):
            self.push_manifest(self.image(name), "v1", name)
        self.push_blob(b"no manifest", "blob/only")
        self.assertEqual(self.pages("/v2/_catalog", "repositories"), [names])
        self.assertEqual(self.pages("/v2/_catalog?n=4", "repositories"),
                         [names[:4], names[4:8], names[8:]])
        self.assertEqual(self.pages("/v2/_catalog?n=1", "repositories"), [[n] for n in names])
        self.assertEqual(self.pages("/v2/_catalog?last=a/zz", "repositories"), [names[5:]])
        self.assertEqual(self.pages("/v2/_catalog?n=0", "repositories"), [[]])
        self.refused(400, "PAGINATION_NUMBER_INVALID", "GET", "/v2/_catalog?n=x")
        self.refused(400, "NAME_INVALID", "GET", "/v2/_catalog?last=..")

    def test_the_link_of_a_page_names_its_last_entry(self):
        for name in ("x", "y"):
            self.push_manifest(self.image(name), "v1", name)
        link = self.call("GET", "/v2/_catalog?n=1").headers["Link"]
        query = parse_qs(urlsplit(link[1:link.index(">")]).query)
        self.assertEqual(query, {"n": ["1"], "last": ["x"]})


@needs_files
class StoreErrors(RegistryCase):
    def test_what_the_store_refuses_is_denied(self):
        found = self.push_blob(b"secret")
        os.rename(self.on_disk("blobs"), self.outside)
        os.symlink(self.outside, self.on_disk("blobs"))  # leads out of the root
        reply = self.refused(403, "DENIED", "GET", f"/v2/a/b/blobs/{found}")
        self.assertEqual(reply.json()["errors"][0]["detail"]["driver"], "filesystem")

    def test_a_full_store_answers_507_and_keeps_what_fits(self):
        os.makedirs(self.root, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", self.root],
                              check=False, capture_output=True)
        if done.returncode != 0:
            self.skipTest("may not mount a small file system")
        try:
            self.restart()
            url = self.start()
            reply = self.refused(507, "UNKNOWN", "PATCH", url, bytes(8 << 20))
            self.assertEqual(reply.json()["errors"][0]["detail"]["driver"], "filesystem")
            kept = int(self.call("GET", url, status=204).headers["Range"][2:])
            self.assertLess(kept, 2 << 20)
            self.call("DELETE", url, status=204)
            self.push_blob(bytes(1 << 20))
        finally:
            self.server.stop()
            subprocess.run(["umount", self.root], check=True)

    def test_a_damaged_link_is_an_error_not_an_absence(self):
        hexed = self.push_blob(b"x")[7:]
        path = self.on_disk("repositories/a/b/_layers/sha256", hexed, "link")
        for text in ("", "sha256:nonsense", "sha256:" + "x" * 64, f"sha256:{hexed}\n"):
            with open(path, "w", encoding="ascii") as link:
                link.write(text)
            self.refused(500, "UNKNOWN", "GET", f"/v2/a/b/blobs/sha256:{hexed}")

    def test_a_manifest_that_was_cut_short_is_not_served_and_a_push_repairs_it(self):
        manifest = self.image()
        path = f"/v2/a/b/manifests/{digest(manifest)}"
        hexed = digest(manifest)[7:]
        for push_as, cut in (("v1", 10), (digest(manifest), 0), ("v2", len(manifest) - 1)):
            self.push_manifest(manifest, push_as)
            os.truncate(self.on_disk("blobs/sha256", hexed[:2], hexed, "data"), cut)
            for method in ("GET", "HEAD"):
                self.call(method, path, status=500)
            self.refused(500, "UNKNOWN", "GET", "/v2/a/b/manifests/v1")
            self.push_manifest(manifest, push_as)
            self.assertEqual(self.call("GET", path, status=200).body, manifest)

    def test_a_manifest_with_other_bytes_is_not_served(self):
        manifest = self.image()
        self.push_manifest(manifest, "v1")
        hexed = digest(manifest)[7:]
        with open(self.on_disk("blobs/sha256", hexed[:2], hexed, "data"), "r+b") as stored:
            stored.write(b"[")
        self.refused(500, "UNKNOWN", "GET", "/v2/a/b/manifests/v1")

    def test_a_blob_that_was_cut_short_is_repaired_by_a_push(self):
        data = os.urandom(100_000)
        hexed = self.push_blob(data)[7:]
        os.truncate(self.on_disk("blobs/sha256", hexed[:2], hexed, "data"), 99)
        self.push_blob(data)
        self.assertEqual(self.call("GET", f"/v2/a/b/blobs/sha256:{hexed}").body, data)

    def test_a_link_without_its_blob_is_blob_unknown(self):
        hexed = self.push_blob(b"x")[7:]
        os.remove(self.on_disk("blobs/sha256", hexed[:2], hexed, "data"))
        self.refused(404, "BLOB_UNKNOWN", "GET", f"/v2/a/b/blobs/sha256:{hexed}")


if __name__ == "__main__":
    unittest.main()
