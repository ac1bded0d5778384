#!/usr/bin/env python3
"""Make an OCI image layout from local files, the same bytes every time.

    oci_layout.py DEST --tag v1 --layers 3 --size 200M FILE...

The files are spread over the layers; --size adds seeded random bytes, so that
the layers together are about that large. Prints the digest of the manifest.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import random
import sys
import tarfile

PIECE = 1 << 20
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Hashed(io.RawIOBase):
    """Pass writes on and remember their digest and length."""

    def __init__(self, out):
        super().__init__()
        self.out, self.hash, self.length = out, hashlib.sha256(), 0

    def writable(self):
        return True

    def write(self, data):
        self.out.write(data)
        self.hash.update(data)
        self.length += len(data)
        return len(data)

    @property
    def digest(self):
        return "sha256:" + self.hash.hexdigest()


class Filler(io.RawIOBase):
    """`size` random bytes that depend on the seed alone."""

    def __init__(self, seed, size):
        super().__init__()
        self.random, self.left, self.rest = random.Random(seed), size, b""

    def read(self, count=-1):
        count = self.left if count < 0 else min(count, self.left)
        while len(self.rest) < count:
            self.rest += self.random.randbytes(PIECE)
        data, self.rest = self.rest[:count], self.rest[count:]
        self.left -= len(data)
        return data


def member(name, size):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info


def write_layer(blobs, number, files, filler):
    """Write one layer; answers its descriptor and the digest of its tar."""
    part = os.path.join(blobs, f".layer-{number}")
    # Random bytes do not compress: store them.
    level = 0 if filler else 6
    with open(part, "wb") as raw:
        packed = Hashed(raw)
        zipped = gzip.GzipFile("", "wb", level, packed, mtime=0)
        tar_bytes = Hashed(zipped)
        with tarfile.open(fileobj=tar_bytes, mode="w|", format=tarfile.USTAR_FORMAT,
                          bufsize=PIECE) as tar:
            text = f"layer {number}\n".encode()
            tar.addfile(member(f"layers/{number}.txt", len(text)), io.BytesIO(text))
            for path in files:
                name = "files/" + os.path.basename(path)
                with open(path, "rb") as content:
                    tar.addfile(member(name, os.fstat(content.fileno()).st_size), content)
            if filler:
                tar.addfile(member(f"filler/{number}.bin", filler), Filler(number, filler))
        zipped.close()
    os.rename(part, os.path.join(blobs, packed.hash.hexdigest()))
    return descriptor(LAYER, packed.digest, packed.length), tar_bytes.digest


def descriptor(media_type, digest, size):
    return {"mediaType": media_type, "digest": digest, "size": size}


def write_json(blobs, media_type, value):
    data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(blobs, digest), "wb") as out:
        out.write(data)
    return descriptor(media_type, "sha256:" + digest, len(data))


def make(dest, files=(), layers=3, size=0, tag="latest"):
    """Make the layout in directory `dest`; answers the manifest's digest."""
    blobs = os.path.join(dest, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)
    files = sorted(files)
    made = [write_layer(blobs, n, files[n::layers], size // layers) for n in range(layers)]
    config = write_json(blobs, CONFIG, {
        "architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z",
        "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in made]},
        "history": [{"created": "1970-01-01T00:00:00Z", "comment": f"layer {n}"}
                    for n in range(layers)]})
    manifest = write_json(blobs, MANIFEST, {
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config,
        "layers": [layer for layer, _ in made]})
    named = dict(manifest, annotations={"org.opencontainers.image.ref.name": tag})
    with open(os.path.join(dest, "index.json"), "w", encoding="utf-8") as out:
        json.dump({"schemaVersion": 2, "manifests": [named]}, out)
    with open(os.path.join(dest, "oci-layout"), "w", encoding="utf-8") as out:
        json.dump({"imageLayoutVersion": "1.0.0"}, out)
    return manifest["digest"]


def bytes_of(text):
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1:] in units else int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dest")
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--size", type=bytes_of, default=0, help="random bytes, e.g. 200M")
    parser.add_argument("--tag", default="latest")
    args = parser.parse_intermixed_args()
    print(make(args.dest, args.files, args.layers, args.size, args.tag))


if __name__ == "__main__":
    sys.exit(main())
