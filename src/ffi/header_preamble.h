/**
 * libstoragedriver: the storage drivers of a container registry, for C.
 *
 * This header is the manual. Read this page once: it holds for every function and
 * is not repeated below. Sections are in reading order, the simple before the rare;
 * sections 4, 6 and 7 are enough for a first program.
 *
 * RESULTS. A function that can fail returns sd_status: SD_OK (0), or a negative
 * SD_ERR_ code. Positive values are answers, not failures; only callbacks give
 * them and only calls that say so return them. Later versions may add codes, so
 * keep a default branch. Outputs are written on SD_OK alone; the exceptions are
 * `*total` of sd_read_stream and sd_write_stream, and sd_conformance_run's report.
 *
 * ERRORS. The last parameter, `err`, may be NULL. Otherwise a failing call stores
 * there an error that is yours: release it with sd_error_free. It is never read
 * and on success not touched, so it must not hold an error you still own. No error
 * is kept per thread or globally. Any call can return
 *     SD_ERR_INVALID_ARGUMENT  a required pointer is NULL, a handle is of another
 *                              type, text is not UTF-8, a flag is not known
 *     SD_ERR_STRUCT_SIZE       a struct uses fields that this library has not
 *     SD_ERR_INTERNAL          a bug in this library; its text went to the log
 *     SD_ERR_SHUTDOWN          sd_runtime_shutdown was called
 *     SD_ERR_FORKED            see THREADS AND FORK
 * and they are listed below only where they mean something special.
 *
 * TEXT is UTF-8 and ends with NUL, in both directions; what the library returns
 * can always be printed with %s. BYTES are a pointer and a length; the pointer may
 * be NULL when the length is 0.
 *
 * PATHS are absolute: one or more components, each after a slash, of the letters
 * A-Z and a-z, digits, dot, underscore and hyphen, but neither "." nor "..". "/"
 * alone names the root, where a directory is asked for. Directories come with the
 * files below them; nobody makes them.
 *
 * OWNERSHIP. What a function gives you through `**out` or as a pointer that is not
 * const is yours: release it with the _free function of its type, which accepts
 * NULL, cannot fail and does no I/O. A const pointer it returns is a view into its
 * argument and lives as long as that. What you pass in is copied unless the call
 * says otherwise. Readers, writers and walkers keep their driver alive, so things
 * may be freed in any order.
 *
 * THREADS AND FORK. A const parameter may be shared: any number of threads may use
 * the object at the same time. An object passed without const is exclusive: one
 * call at a time, from any thread. Loading the library starts nothing; in-memory
 * and filesystem drivers never start a thread. In a process that called fork
 * without exec, drivers of those two kinds go on working (one that another thread
 * was inside of at the fork says SD_ERR_FORKED instead), and every other handle
 * opened before the fork answers SD_ERR_FORKED; new ones may be opened. Contexts go
 * on. The child starts with the hooks, the configuration and the registered names
 * of its parent, but without any of these that was being changed at that moment,
 * and with metrics at zero. No lock that a thread of the parent held is waited for.
 *
 * CALLBACKS of a call run on the thread that made it, inside the call. They may use
 * the library, but must not throw, longjmp, or free what the call is using. `user`
 * is passed on untouched.
 *
 * STRUCTS that you fill in begin with `struct_size`: set it to sizeof and the rest
 * to zero, and every zero means the default. Structs that the library makes may
 * grow, so do not copy them by value.
 *
 * VERSIONS. A program linked against 1.x runs with every later 1.y. Macros tell
 * what you compiled against, functions what is loaded.
 */
#ifndef STORAGEDRIVER_H
#define STORAGEDRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
