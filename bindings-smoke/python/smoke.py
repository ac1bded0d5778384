#!/usr/bin/env python3
"""Stores, reads, lists and fails through ctypes: smoke.py /path/to/libstoragedriver.so.1"""

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_void_p

PATH_NOT_FOUND = -100


def function(library, name, result, *arguments):
    found = getattr(library, name)
    found.restype, found.argtypes = result, arguments
    return found


def main() -> None:
    lib = ctypes.CDLL(sys.argv[1])
    out = POINTER(c_void_p)
    create = function(
        lib, "sd_factory_create", c_int32, c_char_p, c_void_p, c_void_p, out, out
    )
    put = function(
        lib, "sd_put_content", c_int32, c_void_p, c_void_p, c_char_p, c_void_p, c_size_t, out
    )
    get = function(lib, "sd_get_content", c_int32, c_void_p, c_void_p, c_char_p, out, out)
    list_ = function(lib, "sd_list", c_int32, c_void_p, c_void_p, c_char_p, out, out)
    data = function(lib, "sd_buffer_data", c_void_p, c_void_p)
    length = function(lib, "sd_buffer_len", c_size_t, c_void_p)
    count = function(lib, "sd_names_count", c_size_t, c_void_p)
    name = function(lib, "sd_names_get", c_char_p, c_void_p, c_size_t)
    message = function(lib, "sd_error_message", c_char_p, c_void_p)
    code = function(lib, "sd_error_code", c_int32, c_void_p)
    reader_open = function(
        lib, "sd_reader_open", c_int32, c_void_p, c_void_p, c_char_p, c_int64, out, out
    )
    reader_read = function(
        lib, "sd_reader_read", c_int32, c_void_p, c_void_p, c_size_t, POINTER(c_size_t), out
    )
    free = {
        kind: function(lib, f"sd_{kind}_free", None, c_void_p)
        for kind in ("driver", "buffer", "names", "error", "reader")
    }

    driver, buffer, names, reader, error = (c_void_p() for _ in range(5))
    assert create(b"inmemory", None, None, byref(driver), byref(error)) == 0
    content = bytes(range(256)) * 1000
    assert put(driver, None, b"/a/b", content, len(content), byref(error)) == 0
    assert get(driver, None, b"/a/b", byref(buffer), byref(error)) == 0
    assert ctypes.string_at(data(buffer), length(buffer)) == content
    assert list_(driver, None, b"/a", byref(names), byref(error)) == 0
    assert [name(names, i) for i in range(count(names))] == [b"/a/b"]

    assert reader_open(driver, None, b"/a/b", 255_000, byref(reader), byref(error)) == 0
    piece, moved, read = ctypes.create_string_buffer(4096), c_size_t(), b""
    while reader_read(reader, piece, len(piece), byref(moved), byref(error)) == 0 and moved.value:
        read += piece.raw[: moved.value]
    assert read == content[255_000:]

    assert get(driver, None, b"/missing", byref(buffer), byref(error)) == PATH_NOT_FOUND
    assert code(error) == PATH_NOT_FOUND and b"/missing" in message(error)
    for kind, value in (
        ("error", error), ("reader", reader), ("names", names), ("driver", driver), ("buffer", buffer)
    ):
        free[kind](value)
    version = function(lib, "sd_version_string", c_char_p)
    print(f"python: storagedriver {version().decode()} works")


if __name__ == "__main__":
    main()
