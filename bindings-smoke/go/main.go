// Stores, reads, walks and fails through cgo. CGO_CFLAGS and CGO_LDFLAGS say where
// the library is.
package main

/*
#cgo LDFLAGS: -lstoragedriver
#include <stdlib.h>
#include <storagedriver.h>
*/
import "C"

import (
	"bytes"
	"fmt"
	"log"
	"unsafe"
)

func text(s string) (*C.char, func()) {
	c := C.CString(s)
	return c, func() { C.free(unsafe.Pointer(c)) }
}

func check(status C.sd_status, err *C.sd_error) {
	if status != C.SD_OK {
		log.Fatalf("%s: %s", C.GoString(C.sd_status_name(status)), C.GoString(C.sd_error_message(err)))
	}
}

func main() {
	var driver *C.sd_driver
	var buffer *C.sd_buffer
	var walker *C.sd_walker
	var err *C.sd_error
	name, done := text("inmemory")
	defer done()
	check(C.sd_factory_create(name, nil, nil, &driver, &err), err)
	defer C.sd_driver_free(driver)

	path, done := text("/a/b")
	defer done()
	content := bytes.Repeat([]byte("storage "), 10000)
	check(C.sd_put_content(driver, nil, path, unsafe.Pointer(&content[0]), C.size_t(len(content)), &err), err)
	check(C.sd_get_content(driver, nil, path, &buffer, &err), err)
	got := C.GoBytes(unsafe.Pointer(C.sd_buffer_data(buffer)), C.int(C.sd_buffer_len(buffer)))
	C.sd_buffer_free(buffer)
	if !bytes.Equal(got, content) {
		log.Fatal("other bytes came back")
	}

	root, done := text("/")
	defer done()
	check(C.sd_walker_open(driver, nil, root, nil, &walker, &err), err)
	var walked []string
	for {
		var info *C.sd_file_info
		check(C.sd_walker_next(walker, &info, &err), err)
		if info == nil {
			break
		}
		walked = append(walked, C.GoString(info.path))
		C.sd_file_info_free(info)
	}
	C.sd_walker_free(walker)
	if len(walked) != 2 || walked[0] != "/a" || walked[1] != "/a/b" {
		log.Fatalf("walked %v", walked)
	}

	missing, done := text("/missing")
	defer done()
	status := C.sd_get_content(driver, nil, missing, &buffer, &err)
	if status != C.SD_ERR_PATH_NOT_FOUND || C.sd_error_code(err) != status {
		log.Fatalf("status %d", status)
	}
	C.sd_error_free(err)
	fmt.Printf("go: storagedriver %s works\n", C.GoString(C.sd_version_string()))
}
