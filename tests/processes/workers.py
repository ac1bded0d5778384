#!/usr/bin/env python3
"""Workers that Python's multiprocessing makes, in each of its three ways, from a process
which is using the library through ctypes: workers.py /path/to/libstoragedriver.so.1"""

import ctypes
import faulthandler
import multiprocessing
import sys
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint64, c_void_p

OK = 0
OUT = POINTER(c_void_p)


class Library:
    def __init__(self, path):
        lib = ctypes.CDLL(path)

        def function(name, result, *arguments):
            found = getattr(lib, name)
            found.restype, found.argtypes = result, arguments
            return found

        handle, text, status = c_void_p, c_char_p, c_int32
        self.create = function("sd_factory_create", status, text, handle, handle, OUT, OUT)
        self.put = function(
            "sd_put_content", status, handle, handle, text, c_void_p, c_size_t, OUT
        )
        self.get = function("sd_get_content", status, handle, handle, text, OUT, OUT)
        self.data = function("sd_buffer_data", c_void_p, handle)
        self.len = function("sd_buffer_len", c_size_t, handle)
        self.cq_new = function("sd_cq_new", status, OUT, OUT)
        self.next = function("sd_cq_next", status, handle, c_int64, OUT, OUT)
        self.submit = function(
            "sd_submit_get_content", status, handle, c_uint64, handle, handle, text, OUT
        )
        self.status = function("sd_completion_status", status, handle)
        self.take = function("sd_completion_take_buffer", handle, handle)
        self.completion_free = function("sd_completion_free", None, handle)
        self.cq_free = function("sd_cq_free", None, handle)
        self.driver_free = function("sd_driver_free", None, handle)
        self.buffer_free = function("sd_buffer_free", None, handle)
        self.name = function("sd_status_name", text, status)

    def new_driver(self):
        driver = c_void_p()
        assert self.create(b"inmemory", None, None, byref(driver), None) == OK
        return driver

    def new_queue(self):
        queue = c_void_p()
        assert self.cq_new(byref(queue), None) == OK
        return queue

    def bytes(self, buffer):
        content = ctypes.string_at(self.data(buffer), self.len(buffer))
        self.buffer_free(buffer)
        return content

    def get_content(self, driver, path):
        buffer = c_void_p()
        status = self.get(driver, None, path, byref(buffer), None)
        return self.bytes(buffer) if status == OK else self.name(status).decode()

    def get_through(self, queue, driver, path, calls=20):
        """The content, by many calls at once."""
        for tag in range(calls):
            status = self.submit(queue, tag, driver, None, path, None)
            if status != OK:
                return self.name(status).decode()
        contents = set()
        for _ in range(calls):
            completion = c_void_p()
            assert self.next(queue, -1, byref(completion), None) == OK
            status = self.status(completion)
            assert status == OK, self.name(status)
            contents.add(self.bytes(self.take(completion)))
            self.completion_free(completion)
        (content,) = contents
        return content


lib = Library(sys.argv[1])
driver = queue = None


def work(number):
    """In a worker, which has the parent's handles and makes its own."""
    text = b"worker %d" % number
    own, own_queue = lib.new_driver(), lib.new_queue()
    assert lib.put(own, None, b"/own", text, len(text), None) == OK
    found = {
        "own": lib.get_content(own, b"/own"),
        "own queue": lib.get_through(own_queue, own, b"/own"),
    }
    expected = {"own": text, "own queue": text}
    if driver:  # this worker is a fork of the parent
        found["inherited"] = lib.get_content(driver, b"/shared")
        found["inherited queue"] = lib.get_through(queue, driver, b"/shared")
        found["own queue, inherited driver"] = lib.get_through(own_queue, driver, b"/shared")
        expected["inherited"] = expected["own queue, inherited driver"] = b"shared"
        expected["inherited queue"] = "SD_ERR_FORKED"
    lib.cq_free(own_queue)
    lib.driver_free(own)
    return found == expected or f"{found}"


def pool(way, tasks):
    with multiprocessing.get_context(way).Pool(4) as workers:
        results = workers.map_async(work, range(tasks)).get(timeout=100)
    wrong = [result for result in results if result is not True]
    assert not wrong and len(results) == tasks, (way, wrong[:1])
    # The parent goes on as before.
    assert lib.get_through(queue, driver, b"/shared") == b"shared"


def main():
    global driver, queue
    faulthandler.dump_traceback_later(110, exit=True)
    # The server that forks has loaded the library, and has it at work in no thread.
    multiprocessing.set_forkserver_preload(["__main__"])
    driver, queue = lib.new_driver(), lib.new_queue()
    assert lib.put(driver, None, b"/shared", b"shared", 6, None) == OK
    # The library has threads from here on.
    assert lib.get_through(queue, driver, b"/shared") == b"shared"
    for way in ("fork", "forkserver", "spawn"):
        pool(way, 40)
    pool("fork", 40)
    worker = multiprocessing.get_context("fork").Process(target=work, args=(1,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0, worker.exitcode
    lib.cq_free(queue)
    lib.driver_free(driver)
    print("python: workers have drivers and queues")


if __name__ == "__main__":
    main()
