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

/* ---- 1. Version ------------------------------------------------------------------ */

#define SD_VERSION_MAJOR 1  /* Version of this header. Compare with sd_version, which
                               tells the version of the library that was loaded. */
#define SD_VERSION_MINOR 0
#define SD_VERSION_PATCH 0
#define SD_ABI_VERSION   1  /* The number in the soname. Programs built against one
                               number run with every library of the same number. */

/**
 * The version of the loaded library: MAJOR << 16 | MINOR << 8 | PATCH.
 *
 * Threads:   any.
 * Since:     1.0
 */
uint32_t sd_version(void);

/**
 * The version of the loaded library as text, "1.0.0".
 *
 * Ownership: static; do not free it.
 * Threads:   any.
 * Since:     1.0
 */
const char *sd_version_string(void);

/**
 * The binary interface of the loaded library; equals the number in its soname.
 *
 * Threads:   any.
 * Since:     1.0
 */
uint32_t sd_abi_version(void);

/**
 * What the loaded library was built with, as a JSON object: "version", "abi",
 * "drivers" (the built-in names) and "tls" (null where no driver needs it).
 * Put it into bug reports.
 *
 * Ownership: static; do not free it.
 * Threads:   any.
 * Since:     1.0
 */
const char *sd_features(void);

/* ---- 2. Results and errors ------------------------------------------------------- */

/**
 * What every fallible function returns: SD_OK, a negative SD_ERR_ code, or,
 * where a function says so, a positive answer. New codes may come with minor
 * releases: have a default branch.
 */
typedef int32_t sd_status;

#define SD_OK       0  /* Done. */
#define SD_STOP     1  /* A callback's answer: end early, without failure. */
#define SD_SKIP_DIR 2  /* A callback's answer: do not descend into this directory. */
#define SD_EMPTY    3  /* sd_cq_next: nothing was ready in time. */

#define SD_ERR_DRIVER               (-1)  /* A failure inside a backend that has no
                                             code of its own; see its message. */
#define SD_ERR_INVALID_ARGUMENT     (-2)  /* An argument that the call can never
                                             accept: NULL, a handle of another type,
                                             text that is not UTF-8, an unknown flag. */
#define SD_ERR_INVALID_STATE        (-3)  /* The object is not in a state in which
                                             this call is allowed, or another call is
                                             using it right now. */
#define SD_ERR_INTERNAL             (-4)  /* A bug in the library, caught before it
                                             could do harm. Please report it. */
#define SD_ERR_CANCELLED            (-5)  /* Your context was cancelled. */
#define SD_ERR_DEADLINE             (-6)  /* Your context's deadline passed. A
                                             backend that is too slow by itself is
                                             SD_ERR_UNAVAILABLE. */
#define SD_ERR_CALLBACK             (-7)  /* Your callback answered a failure or
                                             something undocumented. */
#define SD_ERR_FORKED               (-8)  /* The object was made before a fork and
                                             cannot be used in the child. */
#define SD_ERR_SHUTDOWN             (-9)  /* The library was shut down. */
#define SD_ERR_STRUCT_SIZE         (-10)  /* A struct is newer than this library and
                                             uses a field it does not know. */
#define SD_ERR_PATH_NOT_FOUND     (-100)  /* Nothing is stored at the path. */
#define SD_ERR_INVALID_PATH       (-101)  /* The path does not follow the grammar;
                                             see PATHS above. */
#define SD_ERR_INVALID_OFFSET     (-102)  /* The offset is negative. */
#define SD_ERR_UNSUPPORTED        (-103)  /* The driver cannot do this. */
#define SD_ERR_INVALID_DRIVER     (-104)  /* No driver has this name. */
#define SD_ERR_ALREADY_REGISTERED (-105)  /* A driver of this name exists already. */
#define SD_ERR_INVALID_PARAMETER  (-106)  /* A driver parameter is unknown, missing
                                             or malformed. */
#define SD_ERR_PERMISSION         (-107)  /* Credentials were refused, or access was
                                             denied. */
#define SD_ERR_CONFORMANCE        (-108)  /* A conformance case failed; the report
                                             says which. */
#define SD_ERR_IS_DIRECTORY       (-109)  /* The path is a directory, and the call
                                             wants a file. */
#define SD_ERR_NOT_DIRECTORY      (-110)  /* The path is a file, or lies below one,
                                             and the call wants a directory there. */
#define SD_ERR_NO_SPACE           (-111)  /* The disk is full or a quota is used up.
                                             HTTP 507. */
#define SD_ERR_THROTTLED          (-112)  /* The backend asks to slow down. HTTP 429. */
#define SD_ERR_UNAVAILABLE        (-113)  /* The backend cannot be reached, stalls or
                                             is failing. HTTP 503. */
#define SD_ERR_CORRUPT            (-114)  /* Bytes do not match their checksum. */
#define SD_ERR_CONFLICT           (-115)  /* Somebody else changed the path
                                             meanwhile. */
#define SD_ERR_DRIVER_DIED        (-116)  /* The driver's process ended. */
#define SD_ERR_DRIVER_VERSION     (-117)  /* The driver's process speaks another
                                             protocol version. */

/**
 * What went wrong. An error that a function gave you is immutable and may be
 * read and freed on any thread.
 */
typedef struct sd_error sd_error;

/**
 * The name of a status, "SD_ERR_INVALID_PATH"; "SD_UNKNOWN" for a number that
 * is none.
 *
 * Ownership: static; do not free it.
 * Threads:   any.
 * Since:     1.0
 */
const char *sd_status_name(sd_status status);

/**
 * Make an error, in a driver written in C.
 *
 * `code` is one of the SD_ERR_ codes; anything else becomes SD_ERR_DRIVER.
 * `message` is one line of plain text without secrets; NULL is "". The texts of
 * SD_ERR_PATH_NOT_FOUND, SD_ERR_INVALID_PATH and SD_ERR_INVALID_OFFSET are made
 * from the path and the offset instead.
 *
 * Ownership: the error is yours until you hand it over; sd_error_free it
 *            otherwise. NULL only if `message` is not UTF-8.
 * Threads:   any.
 * Since:     1.0
 */
sd_error *sd_error_new(sd_status code, const char *message);

/**
 * The code of an error, the same number that the failed function returned.
 *
 * Threads:   any.
 * Since:     1.0
 */
sd_status sd_error_code(const sd_error *error);

/**
 * The message: one line, with the driver's name and the path where they are
 * known, as Distribution words it ("filesystem: Path not found: /a").
 *
 * It never contains a secret. Never parse it: the code and the functions below
 * say what a program can use.
 *
 * Ownership: lives as long as `error`.
 * Threads:   any.
 * Since:     1.0
 */
const char *sd_error_message(const sd_error *error);

/**
 * The name of the driver that failed, "" when unknown.
 *
 * Ownership: lives as long as `error`.
 * Threads:   any.
 * Since:     1.0
 */
const char *sd_error_driver(const sd_error *error);

/**
 * The path that the failure is about, "" when unknown. For sd_move it tells which
 * of the two.
 *
 * Ownership: lives as long as `error`.
 * Threads:   any.
 * Since:     1.0
 */
const char *sd_error_path(const sd_error *error);

/**
 * The offset that the failure is about.
 *
 * Ownership: `*out` is written only if the answer is true.
 * Threads:   any.
 * Since:     1.0
 */
bool sd_error_offset(const sd_error *error, int64_t *out);

/**
 * The HTTP status of the backend's answer, 0 when unknown.
 *
 * Threads:   any.
 * Since:     1.0
 */
int32_t sd_error_http_status(const sd_error *error);

/**
 * What your callback answered when the code is SD_ERR_CALLBACK, else 0.
 *
 * Threads:   any.
 * Since:     1.0
 */
sd_status sd_error_callback_result(const sd_error *error);

/**
 * Whether the same call may succeed later without anything being changed.
 *
 * Threads:   any.
 * Since:     1.0
 */
bool sd_error_is_retryable(const sd_error *error);

/**
 * How long the backend asks to wait, in milliseconds; -1 when unknown.
 *
 * Threads:   any.
 * Since:     1.0
 */
int64_t sd_error_retry_after_ms(const sd_error *error);

/**
 * The backend's name for the request, for its operators; "" when it has none.
 *
 * Ownership: lives as long as `error`.
 * Threads:   any.
 * Since:     1.0
 */
const char *sd_error_request_id(const sd_error *error);

/**
 * The error as a registry hands it to its clients: {"driver":"s3","detail":"..."},
 * or "details" with a list where one call failed in several ways.
 *
 * Ownership: lives as long as `error`.
 * Threads:   any.
 * Since:     1.0
 */
const char *sd_error_json(const sd_error *error);

/**
 * Say which path the error is about, in a driver written in C.
 *
 * Ownership: the text is copied.
 * Threads:   exclusive, and only before the error is handed over. Texts that the
 *            error gave before are no longer valid.
 * Since:     1.0
 */
void sd_error_set_path(sd_error *error, const char *path);

/**
 * Say which offset the error is about, in a driver written in C.
 *
 * Threads:   exclusive, and only before the error is handed over. Texts that the
 *            error gave before are no longer valid.
 * Since:     1.0
 */
void sd_error_set_offset(sd_error *error, int64_t offset);

/**
 * Say what HTTP status the backend answered, in a driver written in C.
 *
 * Threads:   exclusive, and only before the error is handed over. Texts that the
 *            error gave before are no longer valid.
 * Since:     1.0
 */
void sd_error_set_http_status(sd_error *error, int32_t status);

/**
 * Say how long the backend asks to wait, in a driver written in C. A negative time
 * is ignored.
 *
 * Threads:   exclusive, and only before the error is handed over. Texts that the
 *            error gave before are no longer valid.
 * Since:     1.0
 */
void sd_error_set_retry_after_ms(sd_error *error, int64_t milliseconds);

/**
 * Say how the backend calls the request, in a driver written in C.
 *
 * Ownership: the text is copied.
 * Threads:   exclusive, and only before the error is handed over. Texts that the
 *            error gave before are no longer valid.
 * Since:     1.0
 */
void sd_error_set_request_id(sd_error *error, const char *id);

/**
 * Free an error. NULL is fine.
 *
 * Threads:   any.
 * Since:     1.0
 */
void sd_error_free(sd_error *error);

/* ---- 3. Small value objects ------------------------------------------------------ */

/**
 * Bytes that you own. One NUL follows the last of them and is not counted, so
 * that text can be printed as it is.
 */
typedef struct sd_buffer sd_buffer;

/**
 * Make a buffer with a copy of `len` bytes.
 *
 * Ownership: yours until you hand it over; sd_buffer_free it otherwise. NULL if
 *            `data` is NULL and `len` is not 0, or if there is no memory for it.
 * Threads:   any.
 * Since:     1.0
 */
sd_buffer *sd_buffer_new(const void *data, size_t len);

/**
 * The bytes of a buffer, never NULL for a live one.
 *
 * Ownership: lives as long as `buffer`.
 * Threads:   any.
 * Since:     1.0
 */
const uint8_t *sd_buffer_data(const sd_buffer *buffer);

/**
 * How many bytes a buffer holds, the NUL not counted.
 *
 * Threads:   any.
 * Since:     1.0
 */
size_t sd_buffer_len(const sd_buffer *buffer);

/**
 * Free a buffer. NULL is fine.
 *
 * Threads:   any.
 * Since:     1.0
 */
void sd_buffer_free(sd_buffer *buffer);

/** An ordered list of strings. */
typedef struct sd_names sd_names;

/**
 * Make an empty list, in a driver written in C.
 *
 * Ownership: yours until you hand it over; sd_names_free it otherwise.
 * Threads:   any.
 * Since:     1.0
 */
sd_names *sd_names_new(void);

/**
 * Append a copy of `name`.
 *
 * Threads:   exclusive. Pointers that sd_names_get gave before are no longer valid.
 * Since:     1.0
 */
sd_status sd_names_push(sd_names *names, const char *name);

/**
 * How many strings a list has.
 *
 * Threads:   shared.
 * Since:     1.0
 */
size_t sd_names_count(const sd_names *names);

/**
 * One string of a list, NULL past its end.
 *
 * Ownership: lives as long as `names`, or until the next sd_names_push.
 * Threads:   shared.
 * Since:     1.0
 */
const char *sd_names_get(const sd_names *names, size_t index);

/**
 * Free a list. NULL is fine.
 *
 * Threads:   any.
 * Since:     1.0
 */
void sd_names_free(sd_names *names);

#define SD_INFO_DIR 0x1u  /* sd_file_info.flags: the path is a directory. */

/**
 * What is known of a path. Made by the library only and read through a pointer:
 * do not copy it by value, it may grow.
 */
typedef struct sd_file_info {
    /** Set by the library: fields beyond it are not there. */
    size_t struct_size;
    /** As it was asked for. */
    const char *path;
    /** In bytes; 0 for a directory. */
    uint64_t size;
    /** Last change, in nanoseconds since 1970-01-01 UTC; 0 when unknown. */
    int64_t mtime_ns;
    /** SD_INFO_ flags. */
    uint32_t flags;
} sd_file_info;

/**
 * Make an info, in a driver written in C. `flags` are SD_INFO_ flags.
 *
 * Ownership: `path` is copied. Yours until you hand it over; sd_file_info_free it
 *            otherwise. NULL if `path` is NULL or not UTF-8, or for unknown flags.
 * Threads:   any.
 * Since:     1.0
 */
sd_file_info *sd_file_info_new(const char *path, uint64_t size, int64_t mtime_ns,
                               uint32_t flags);

/**
 * Free an info. NULL is fine, and one that is only lent stays as it is.
 *
 * Threads:   any.
 * Since:     1.0
 */
void sd_file_info_free(sd_file_info *info);

/* ---- 4. Parameters --------------------------------------------------------------- */

/** A driver's parameters: keys with text, numbers, truth values or any JSON. */
typedef struct sd_params sd_params;

/**
 * Make an empty set of parameters.
 *
 * Ownership: yours; free it with sd_params_free.
 * Threads:   any.
 * Since:     1.0
 */
sd_params *sd_params_new(void);

/**
 * Make parameters from a JSON object: {"rootdirectory":"/srv","maxthreads":50}.
 *
 * Ownership: `*out` is yours; free it with sd_params_free.
 * Threads:   any.
 * Errors:    SD_ERR_INVALID_PARAMETER  not a JSON object; the message tells the
 *                                      place and quotes nothing
 * Since:     1.0
 */
sd_status sd_params_from_json(const char *json, sd_params **out, sd_error **err);

/**
 * Set a key to text.
 *
 * Ownership: key and value are copied.
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_status sd_params_set_string(sd_params *params, const char *key, const char *value);

/**
 * Set a key to a whole number.
 *
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_status sd_params_set_int(sd_params *params, const char *key, int64_t value);

/**
 * Set a key to a number. Not a number and infinity become JSON's null, which is
 * as if the key was not set.
 *
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_status sd_params_set_float(sd_params *params, const char *key, double value);

/**
 * Set a key to a truth value: false for 0, true for anything else.
 *
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_status sd_params_set_bool(sd_params *params, const char *key, int32_t value);

/**
 * Set a key to any JSON value, for parameters that are lists or objects.
 *
 * Threads:   exclusive.
 * Errors:    SD_ERR_INVALID_PARAMETER  malformed JSON; the message tells the place
 *                                      and quotes nothing
 * Since:     1.0
 */
sd_status sd_params_set_json(sd_params *params, const char *key, const char *json,
                             sd_error **err);

/**
 * The text under a key; NULL if there is none or it is not text.
 *
 * Ownership: lives as long as `params`.
 * Threads:   shared.
 * Since:     1.0
 */
const char *sd_params_get_string(const sd_params *params, const char *key);

/**
 * The whole number under a key; false, and nothing written, if there is none.
 *
 * Threads:   shared.
 * Since:     1.0
 */
bool sd_params_get_int(const sd_params *params, const char *key, int64_t *out);

/**
 * The truth value under a key, 0 or 1; false, and nothing written, if there is
 * none.
 *
 * Threads:   shared.
 * Since:     1.0
 */
bool sd_params_get_bool(const sd_params *params, const char *key, int32_t *out);

/**
 * The number under a key; false, and nothing written, if there is none.
 *
 * Threads:   shared.
 * Since:     1.0
 */
bool sd_params_get_float(const sd_params *params, const char *key, double *out);

/**
 * Whatever is under a key, as JSON, secrets included; NULL if there is nothing.
 *
 * Ownership: yours; free it with sd_buffer_free.
 * Threads:   shared.
 * Since:     1.0
 */
sd_buffer *sd_params_get_json(const sd_params *params, const char *key);

/**
 * How many keys are set.
 *
 * Threads:   shared.
 * Since:     1.0
 */
size_t sd_params_count(const sd_params *params);

/**
 * One of the keys, in byte order; NULL past the last.
 *
 * Ownership: lives as long as `params`.
 * Threads:   shared.
 * Since:     1.0
 */
const char *sd_params_key(const sd_params *params, size_t index);

/**
 * The parameters as JSON for a log: text is masked unless its key is known to be
 * harmless. In what a driver written in C is given, all text is masked.
 *
 * Ownership: yours; free it with sd_buffer_free. NULL only if `params` is.
 * Threads:   shared.
 * Since:     1.0
 */
sd_buffer *sd_params_to_json(const sd_params *params);

/**
 * Free parameters. NULL is fine.
 *
 * Threads:   any.
 * Since:     1.0
 */
void sd_params_free(sd_params *params);

/* ---- 5. Context: deadline, cancellation, log fields ------------------------------ */

/**
 * Until when a piece of work may take, whether it is still wanted, and what to
 * write beside it in the log. NULL, where a function takes one, means no limit.
 * A call, an open reader, writer or walker keeps its context alive: freeing a
 * context does not cancel it.
 */
typedef struct sd_context sd_context;

/**
 * Make a context. It ends with `parent`, which may be NULL, or on its own,
 * whichever is first.
 *
 * Ownership: yours; free it with sd_context_free, in any order with the parent.
 * Threads:   any.
 * Since:     1.0
 */
sd_context *sd_context_new(const sd_context *parent);

/**
 * End the context `milliseconds` from now, by the monotonic clock.
 *
 * Replaces an earlier timeout, also for calls that are running already.
 *
 * Threads:   any, at any time.
 * Since:     1.0
 */
void sd_context_set_timeout_ms(sd_context *ctx, uint64_t milliseconds);

/**
 * End the context at a time of the wall clock, in nanoseconds since 1970-01-01
 * UTC. It may have a timeout as well; the first of the two counts.
 *
 * Threads:   any, at any time.
 * Since:     1.0
 */
void sd_context_set_deadline_ns(sd_context *ctx, int64_t unix_ns);

/**
 * Add a field to every log record of calls made with this context or a child of
 * it, such as a request's id. Replaces a field of the same key.
 *
 * Ownership: both texts are copied.
 * Threads:   any, at any time.
 * Since:     1.0
 */
sd_status sd_context_set_field(sd_context *ctx, const char *key, const char *value);

/**
 * End the context and its children now. Calls that wait inside the library
 * return SD_ERR_CANCELLED. Cancelling twice is fine.
 *
 * Not safe in a signal handler.
 *
 * Threads:   any, at any time.
 * Since:     1.0
 */
void sd_context_cancel(const sd_context *ctx);

/**
 * Whether work may go on: SD_OK, SD_ERR_CANCELLED or SD_ERR_DEADLINE. NULL is
 * SD_OK.
 *
 * Threads:   any, at any time.
 * Since:     1.0
 */
sd_status sd_context_status(const sd_context *ctx);

/**
 * Milliseconds left, rounded up; 0 when it has ended, -1 without a limit.
 *
 * Threads:   any, at any time.
 * Since:     1.0
 */
int64_t sd_context_remaining_ms(const sd_context *ctx);

/**
 * Free a context, without cancelling it. NULL is fine.
 *
 * Threads:   any, but not while another thread still uses this pointer.
 * Since:     1.0
 */
void sd_context_free(sd_context *ctx);

/* ---- 6. Factory and driver ------------------------------------------------------- */

/** A store. Any number of threads may use one at the same time. */
typedef struct sd_driver sd_driver;

/**
 * Create a driver by its registered name.
 *
 * Looks the name up among the built-in drivers and those added with
 * sd_factory_register, checks `params`, and opens whatever the driver needs before
 * its first operation. Unknown parameter keys are refused, so that a misspelt key
 * is found here and not in production. For a name that nobody has it starts the
 * program registry-storage-NAME, see section 16.
 *
 * Ownership: `params`, which may be NULL, is copied; you may free it at once.
 *            `*out` is yours: release it with sd_driver_free. Readers, writers
 *            and walkers keep the driver alive, so the order of freeing does not
 *            matter.
 * Threads:   any, concurrently.
 * Errors:    SD_ERR_INVALID_DRIVER     no driver has this name, nor a program
 *            SD_ERR_INVALID_PARAMETER  a key is unknown, missing or malformed;
 *                                      the message names the key, never a secret
 *            SD_ERR_DRIVER_VERSION     the program speaks another protocol
 *            SD_ERR_DRIVER_DIED        it ended instead of being ready
 * Since:     1.0
 */
sd_status sd_factory_create(const char *name, const sd_context *ctx,
                            const sd_params *params, sd_driver **out, sd_error **err);

/**
 * The names that sd_factory_create knows, in byte order.
 *
 * Ownership: `*out` is yours; free it with sd_names_free.
 * Threads:   any.
 * Since:     1.0
 */
sd_status sd_factory_names(sd_names **out, sd_error **err);

/**
 * Put a middleware over a driver: one that changes the URLs of sd_redirect_url.
 * Every other call goes to the driver as it is.
 *
 * "redirect" gives the parameter `baseurl`, a URL with scheme and host and perhaps
 * a path, followed by the path asked for, on any driver; what answers there must
 * serve every file, for nothing is signed and the driver is not asked.
 *
 * "rewrite" takes the driver's own URL and sets its `scheme` and `host` and takes
 * `trimpathprefix` off its path, each if given. Where the driver has no URL there is
 * none. A signature that covers what was changed no longer holds.
 *
 * What you get has the driver's name and shares its limit of concurrent calls. Both
 * can be used, and a wrapped driver can be wrapped again.
 *
 * Ownership: `driver` stays yours; free it when you like. `params`, which may be
 *            NULL, is copied. `*out` is yours: release it with sd_driver_free.
 * Threads:   shared.
 * Errors:    SD_ERR_INVALID_DRIVER     no middleware has this name
 *            SD_ERR_INVALID_PARAMETER  a key is unknown, missing or malformed
 * Since:     1.0
 */
sd_status sd_driver_wrap(const sd_driver *driver, const char *middleware,
                         const sd_params *params, sd_driver **out, sd_error **err);

/**
 * Another handle to the same driver, for another owner. NULL if `driver` is.
 *
 * Ownership: yours; release it with sd_driver_free.
 * Threads:   shared.
 * Since:     1.0
 */
sd_driver *sd_driver_ref(const sd_driver *driver);

/**
 * The driver's name as errors and metrics have it. It can differ from the name
 * it was created by: one driver may be registered under several.
 *
 * Ownership: lives as long as this handle.
 * Threads:   shared.
 * Since:     1.0
 */
const char *sd_driver_name(const sd_driver *driver);

/**
 * Release a handle. The driver ends with its last handle, reader, writer and
 * walker. NULL is fine.
 *
 * Threads:   any, but not while another thread still uses this handle.
 * Since:     1.0
 */
void sd_driver_free(sd_driver *driver);

/* ---- 7. Driver operations -------------------------------------------------------- */

/**
 * Read a whole file into memory. For anything large use sd_reader_open or
 * sd_read_stream.
 *
 * Ownership: `*out` is yours; free it with sd_buffer_free.
 * Threads:   shared.
 * Errors:    SD_ERR_PATH_NOT_FOUND  nothing is stored at `path`
 *            SD_ERR_IS_DIRECTORY    `path` is a directory (on object stores:
 *                                   SD_ERR_PATH_NOT_FOUND)
 * Since:     1.0
 */
sd_status sd_get_content(const sd_driver *driver, const sd_context *ctx,
                         const char *path, sd_buffer **out, sd_error **err);

/**
 * Store `len` bytes as a file, making the directories above it.
 *
 * All or nothing: whoever reads `path` sees what was there before or all of the
 * new bytes. When it returns SD_OK, they are durable. If it fails, nothing has
 * changed, except after SD_ERR_CANCELLED, SD_ERR_DEADLINE and
 * SD_ERR_UNAVAILABLE, which leave the outcome unknown.
 *
 * Ownership: `data` is read during the call only. (NULL, 0) stores an empty file.
 * Threads:   shared.
 * Errors:    SD_ERR_IS_DIRECTORY   `path` is a directory
 *            SD_ERR_NOT_DIRECTORY  `path` lies below a file
 *            SD_ERR_NO_SPACE       the store is full
 * Since:     1.0
 */
sd_status sd_put_content(const sd_driver *driver, const sd_context *ctx,
                         const char *path, const void *data, size_t len,
                         sd_error **err);

/**
 * Ask what is at `path`: a file, its size and time, or a directory. "/" always
 * exists.
 *
 * Ownership: `*out` is yours; free it with sd_file_info_free.
 * Threads:   shared.
 * Errors:    SD_ERR_PATH_NOT_FOUND  nothing is at `path`
 * Since:     1.0
 */
sd_status sd_stat(const sd_driver *driver, const sd_context *ctx, const char *path,
                  sd_file_info **out, sd_error **err);

/**
 * List the direct children of a directory: their full paths in byte order,
 * without duplicates.
 *
 * Ownership: `*out` is yours; free it with sd_names_free.
 * Threads:   shared.
 * Errors:    SD_ERR_PATH_NOT_FOUND  nothing is at `path`
 *            SD_ERR_NOT_DIRECTORY   `path` is a file
 * Since:     1.0
 */
sd_status sd_list(const sd_driver *driver, const sd_context *ctx, const char *path,
                  sd_names **out, sd_error **err);

/**
 * List the direct children of a directory a page at a time.
 *
 * Gives up to `limit` children (0: a default) that come after `start_after` in
 * byte order. `start_after` is the full path of a child, usually the last one of
 * the page before, and need not exist; NULL starts at the beginning. An empty
 * page is the end, a short one is not.
 *
 * Ownership: `*out` is yours; free it with sd_names_free.
 * Threads:   shared.
 * Errors:    as sd_list
 * Since:     1.0
 */
sd_status sd_list_page(const sd_driver *driver, const sd_context *ctx, const char *path,
                       const char *start_after, size_t limit, sd_names **out,
                       sd_error **err);

/**
 * Check a path against the grammar, without asking any store. "/" is not the
 * path of a file and is refused.
 *
 * Threads:   any.
 * Errors:    SD_ERR_INVALID_PATH
 * Since:     1.0
 */
sd_status sd_check_path(const char *path, sd_error **err);

/**
 * Move a file to `dest`, replacing a file that is there and making the
 * directories above it.
 *
 * The source goes only when the destination is complete and durable. A file
 * moved onto itself stays as it is.
 *
 * Threads:   shared.
 * Errors:    SD_ERR_PATH_NOT_FOUND  there is no `source`; nothing has changed
 *            SD_ERR_IS_DIRECTORY    `source` or `dest` is a directory; the
 *                                   error's path tells which
 *            SD_ERR_NOT_DIRECTORY   `dest` lies below a file
 * Since:     1.0
 */
sd_status sd_move(const sd_driver *driver, const sd_context *ctx, const char *source,
                  const char *dest, sd_error **err);

/**
 * Delete a file, or a directory with everything below it. Deleting "/a" never
 * touches "/ab". If it fails, some of what is below may be gone already.
 *
 * Threads:   shared.
 * Errors:    SD_ERR_PATH_NOT_FOUND  nothing is at `path`
 *            SD_ERR_INVALID_PATH    "/" cannot be deleted
 * Since:     1.0
 */
sd_status sd_delete(const sd_driver *driver, const sd_context *ctx, const char *path,
                    sd_error **err);

/**
 * What a redirect is wanted for. Set struct_size to sizeof(sd_redirect_request)
 * and everything else to zero, then what you need.
 */
typedef struct sd_redirect_request {
    size_t struct_size;
    /** NULL means GET. */
    const char *method;
    /** The client's address, for stores that filter by it; NULL: unknown. */
    const char *remote_addr;
    /** How long the URL is to work, in seconds; 0: the driver's default. */
    uint32_t expires_s;
} sd_redirect_request;

/**
 * Ask for a URL at which a client can fetch the file itself.
 *
 * `*out` is NULL if there is none: that is a success and means that you serve the
 * file yourself. Whether the file exists is not checked.
 *
 * Ownership: `request` may be NULL. `*out`, if not NULL, is yours; free it with
 *            sd_buffer_free.
 * Threads:   shared.
 * Errors:    SD_ERR_STRUCT_SIZE  the request is newer than this library
 * Since:     1.0
 */
sd_status sd_redirect_url(const sd_driver *driver, const sd_context *ctx,
                          const char *path, const sd_redirect_request *request,
                          sd_buffer **out, sd_error **err);

/* ---- 8. Reading ------------------------------------------------------------------ */

/**
 * A file being read. It goes on with the content it was opened on while the path
 * is replaced or deleted; where a store cannot do that, it fails with
 * SD_ERR_CONFLICT rather than mix two contents.
 */
typedef struct sd_reader sd_reader;

/**
 * Open a file for reading at `offset`. At or past the end it is an empty read,
 * not an error.
 *
 * Ownership: `*out` is yours; free it with sd_reader_free. It keeps the driver
 *            and `ctx`, which its reads obey, alive.
 * Threads:   shared.
 * Errors:    SD_ERR_INVALID_OFFSET  `offset` is negative
 *            SD_ERR_PATH_NOT_FOUND  nothing is stored at `path`
 *            SD_ERR_IS_DIRECTORY    `path` is a directory (on object stores:
 *                                   SD_ERR_PATH_NOT_FOUND)
 * Since:     1.0
 */
sd_status sd_reader_open(const sd_driver *driver, const sd_context *ctx,
                         const char *path, int64_t offset, sd_reader **out,
                         sd_error **err);

/**
 * Read the next bytes into `buf`, at least one and at most `cap` of them.
 *
 * `*len` is how many; 0 with SD_OK is the end of the file and nothing else is.
 * After a failure you may try again: the position has not moved.
 *
 * Ownership: `buf` is used during the call only.
 * Threads:   exclusive.
 * Errors:    SD_ERR_INVALID_ARGUMENT  `cap` is 0
 *            SD_ERR_CANCELLED, SD_ERR_DEADLINE  from the opening context
 *            SD_ERR_CONFLICT          the file was replaced and the old content
 *                                     is gone
 * Since:     1.0
 */
sd_status sd_reader_read(sd_reader *reader, void *buf, size_t cap, size_t *len,
                         sd_error **err);

/**
 * Free a reader. NULL is fine.
 *
 * Threads:   any, but not while another thread still uses it.
 * Since:     1.0
 */
void sd_reader_free(sd_reader *reader);

/**
 * Takes `len` bytes, never 0. Answers SD_OK to go on, SD_STOP to end early, or
 * a negative value to give up.
 */
typedef sd_status (*sd_sink_fn)(void *user, const void *data, size_t len);

/**
 * Read a file from `offset` to its end, handing each piece to `sink`.
 *
 * `sink` is called in order and never twice for the same byte. SD_STOP makes the
 * call a success; a negative answer, or one that is not documented, makes it
 * fail with SD_ERR_CALLBACK, and sd_error_callback_result gives the answer back.
 * An offset at or past the end is a success without any call of `sink`.
 *
 * Ownership: the data is lent to `sink` until it returns. `*total`, if not NULL,
 *            gets the number of bytes that `sink` accepted, on failure as well.
 * Threads:   shared. `sink` runs on the calling thread, inside this call; it may
 *            call the library, and must not throw or longjmp.
 * Errors:    as sd_reader_open and sd_reader_read; SD_ERR_CALLBACK
 * Since:     1.0
 */
sd_status sd_read_stream(const sd_driver *driver, const sd_context *ctx,
                         const char *path, int64_t offset, sd_sink_fn sink, void *user,
                         uint64_t *total, sd_error **err);

/* ---- 9. Writing ------------------------------------------------------------------ */

/**
 * An upload. It is open until a commit, a cancel or a close, which are allowed
 * as this table says; everything else is SD_ERR_INVALID_STATE.
 *
 *              open         broken (a write failed)   committed  cancelled  closed
 *   write      yes          no                        no         no         no
 *   commit     yes          no                        no         no         no
 *   cancel     yes          yes                       no         yes, idle  no
 *   close      yes          keeps what is durable     yes, idle  yes, idle  yes, idle
 *   free       loses what was not flushed             yes        yes        yes
 *
 * A commit, cancel or close that failed may be repeated. sd_writer_free never
 * does any I/O: close what is to be resumed, cancel what is not.
 */
typedef struct sd_writer sd_writer;

#define SD_WRITER_APPEND 0x1u  /* sd_writer_open: go on where an earlier upload or
                                  committed content ended. */

/**
 * Open an upload.
 *
 * Without flags it starts over, and what is committed at `path` stays readable
 * until sd_writer_commit. With SD_WRITER_APPEND it goes on where the last session
 * was closed, in this process or another, or after committed content, and
 * sd_writer_size tells where that is.
 *
 * Ownership: `*out` is yours; free it with sd_writer_free. It keeps the driver
 *            and `ctx`, which its writes obey, alive.
 * Threads:   shared.
 * Errors:    SD_ERR_PATH_NOT_FOUND  there is nothing to append to
 *            SD_ERR_UNSUPPORTED     this driver cannot append to committed
 *                                   content that is not empty
 *            SD_ERR_IS_DIRECTORY, SD_ERR_NOT_DIRECTORY  as sd_put_content
 * Since:     1.0
 */
sd_status sd_writer_open(const sd_driver *driver, const sd_context *ctx,
                         const char *path, uint32_t flags, sd_writer **out,
                         sd_error **err);

/**
 * Write all of `len` bytes, or fail.
 *
 * Small writes are gathered; a large one may go straight to the store. Bytes are
 * a promise only after sd_writer_close or sd_writer_commit. After a failure the
 * writer accepts nothing but cancel, close and free.
 *
 * Ownership: `data` is read during the call only. (NULL, 0) does nothing.
 * Threads:   exclusive.
 * Errors:    SD_ERR_NO_SPACE       the store is full
 *            SD_ERR_INVALID_STATE  see the table at sd_writer
 * Since:     1.0
 */
sd_status sd_writer_write(sd_writer *writer, const void *data, size_t len,
                          sd_error **err);

/**
 * How many bytes the upload has: those of earlier sessions and all that this one
 * accepted. After sd_writer_close it is what the next append will find.
 *
 * Threads:   any; while another call runs, the number before it. 0 for NULL.
 * Since:     1.0
 */
uint64_t sd_writer_size(const sd_writer *writer);

/**
 * Make everything written so far readable at the writer's path.
 *
 * When it returns SD_OK, the bytes are durable to the extent that SEMANTICS.md
 * states for the driver, and any earlier content of the path is replaced. If it
 * fails, the bytes are kept and the call may be repeated; the path has its earlier
 * content, or, where only the last sync failed, the new one.
 *
 * Ownership: the writer stays yours; free it with sd_writer_free.
 * Threads:   exclusive.
 * Errors:    SD_ERR_INVALID_STATE  see the table at sd_writer
 *            SD_ERR_CANCELLED, SD_ERR_DEADLINE  from `ctx`; the outcome at the
 *                                  store is then unknown: stat the path
 *            SD_ERR_CONFLICT       somebody else replaced or removed the upload
 * Since:     1.0
 */
sd_status sd_writer_commit(sd_writer *writer, const sd_context *ctx, sd_error **err);

/**
 * Discard what this session wrote.
 *
 * A fresh upload is gone altogether. An append goes back to the length it found
 * at its opening, on drivers that can shrink a file; on the others the whole
 * upload is discarded. Committed content that was there before stays.
 *
 * Threads:   exclusive.
 * Errors:    SD_ERR_INVALID_STATE  see the table at sd_writer
 * Since:     1.0
 */
sd_status sd_writer_cancel(sd_writer *writer, const sd_context *ctx, sd_error **err);

/**
 * End the session so that an append, in any process, can go on with it.
 *
 * Everything written is flushed and durable; it is not committed. After commit or
 * cancel it does nothing.
 *
 * Threads:   exclusive.
 * Errors:    SD_ERR_NO_SPACE  and whatever else a flush can meet; may be repeated
 * Since:     1.0
 */
sd_status sd_writer_close(sd_writer *writer, const sd_context *ctx, sd_error **err);

/**
 * Free a writer, without any I/O: what was not flushed is lost, with a warning
 * in the log. NULL is fine.
 *
 * Threads:   any, but not while another thread still uses it.
 * Since:     1.0
 */
void sd_writer_free(sd_writer *writer);

/**
 * Fills `buf` with up to `cap` bytes and says in `*len` how many, 0 being the
 * end. Answers SD_OK, or a negative value to give up.
 */
typedef sd_status (*sd_source_fn)(void *user, void *buf, size_t cap, size_t *len);

/**
 * Store what `source` gives as a file, and commit it.
 *
 * `flags` are those of sd_writer_open. If anything fails, a fresh upload is
 * cancelled; an append is closed, so that it can be resumed. A negative answer of
 * `source`, an undocumented one, or a length beyond `cap` makes the call fail
 * with SD_ERR_CALLBACK, and sd_error_callback_result gives the answer back.
 *
 * Ownership: the buffer is lent to `source` until it returns. `*total`, if not
 *            NULL, gets the number of bytes accepted, on failure as well.
 * Threads:   shared. `source` runs on the calling thread, inside this call; it may
 *            call the library, and must not throw or longjmp.
 * Errors:    as sd_writer_open, sd_writer_write and sd_writer_commit;
 *            SD_ERR_CALLBACK
 * Since:     1.0
 */
sd_status sd_write_stream(const sd_driver *driver, const sd_context *ctx,
                          const char *path, uint32_t flags, sd_source_fn source,
                          void *user, uint64_t *total, sd_error **err);

/* ---- 10. Walking ----------------------------------------------------------------- */

/**
 * Where a walk starts. Set struct_size to sizeof(sd_walk_options) and everything
 * else to zero, then what you need.
 */
typedef struct sd_walk_options {
    size_t struct_size;
    /** Only entries that come after this path; it need not exist. NULL: all. */
    const char *start_after;
    /** SD_WALK_ flags. */
    uint32_t flags;
} sd_walk_options;

#define SD_WALK_SKIP_START_SUBTREE 0x1u  /* sd_walk_options.flags: leave out what is
                                            below start_after as well. */

/**
 * Takes one entry. Answers SD_OK to go on, SD_SKIP_DIR not to descend into this
 * directory (for a file: to go on), SD_STOP to end early, or a negative value to
 * give up.
 */
typedef sd_status (*sd_walk_fn)(void *user, const sd_file_info *info);

/**
 * Visit everything below a directory, the directory itself excluded.
 *
 * A directory comes before what is below it, and siblings come in byte order of
 * their names, on every driver alike. `fn` may call the library, and may change
 * the tree: what it deletes before it is reached is left out, or reported once
 * more if it was listed already. A negative answer of `fn`, or one that is not
 * documented, makes the call fail with SD_ERR_CALLBACK.
 *
 * Ownership: `options` may be NULL. The info is lent to `fn` until it returns.
 * Threads:   shared. `fn` runs on the calling thread, inside this call; it must
 *            not throw or longjmp.
 * Errors:    SD_ERR_PATH_NOT_FOUND  nothing is at `path`
 *            SD_ERR_NOT_DIRECTORY   `path` is a file
 *            SD_ERR_CALLBACK        sd_error_callback_result gives the answer back
 * Since:     1.0
 */
sd_status sd_walk(const sd_driver *driver, const sd_context *ctx, const char *path,
                  const sd_walk_options *options, sd_walk_fn fn, void *user,
                  sd_error **err);

/** A walk that is pulled, entry by entry. */
typedef struct sd_walker sd_walker;

/**
 * Start a walk whose entries sd_walker_next gives. Order and options are those
 * of sd_walk.
 *
 * Ownership: `options` may be NULL and is copied. `*out` is yours; free it with
 *            sd_walker_free. It keeps the driver and `ctx`, which its steps obey,
 *            alive.
 * Threads:   shared.
 * Errors:    SD_ERR_PATH_NOT_FOUND  nothing is at `path`
 *            SD_ERR_NOT_DIRECTORY   `path` is a file
 * Since:     1.0
 */
sd_status sd_walker_open(const sd_driver *driver, const sd_context *ctx,
                         const char *path, const sd_walk_options *options,
                         sd_walker **out, sd_error **err);

/**
 * Give the next entry; SD_OK with `*out` NULL is the end. A step that failed may
 * be repeated.
 *
 * Ownership: `*out` is yours; free it with sd_file_info_free.
 * Threads:   exclusive.
 * Errors:    SD_ERR_CANCELLED, SD_ERR_DEADLINE  from the opening context
 * Since:     1.0
 */
sd_status sd_walker_next(sd_walker *walker, sd_file_info **out, sd_error **err);

/**
 * Do not descend into the directory that sd_walker_next just gave. After a file
 * it does nothing.
 *
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_status sd_walker_skip_dir(sd_walker *walker);

/**
 * Free a walker. NULL is fine.
 *
 * Threads:   any, but not while another thread still uses it.
 * Since:     1.0
 */
void sd_walker_free(sd_walker *walker);

/* ---- 11. Drivers written in C ---------------------------------------------------- */

#define SD_CAP_REAL_DIRECTORIES      0x1u  /* A capability: an emptied directory
                                              stays, and a file cannot lie over or
                                              below another. */
#define SD_CAP_VISIBLE_UPLOADS       0x2u  /* A capability: an upload that is not
                                              committed can be read and listed. */
#define SD_CAP_EXACT_APPEND          0x4u  /* A capability: an append to committed,
                                              non-empty content works. */
#define SD_CAP_SHRINKABLE            0x8u  /* A capability: cancelling an append
                                              restores the length that its
                                              writer_open found. */
#define SD_CAP_MTIME_OF_DIRECTORIES 0x10u  /* A capability: stat of a directory knows
                                              a modification time. */
#define SD_CAP_REDIRECT             0x20u  /* A capability: redirect_url gives URLs.
                                              Needs that slot. */

/**
 * The functions of a driver written in C, its slots. Set struct_size to
 * sizeof(sd_driver_vtable) and everything else to zero, then fill in every slot;
 * only free and redirect_url may stay NULL. `self` is whatever you gave for it to
 * sd_driver_new, or what your factory's create stored.
 *
 * A driver is a tree of files. Directories come with the files below them and
 * nobody makes them; unless SD_CAP_REAL_DIRECTORIES is set they also go with the
 * last of these files. "/" always exists. Put a finished driver through
 * sd_conformance_run: it checks all that is said here.
 *
 * ARGUMENTS. Paths follow the grammar of PATHS above; "/" reaches stat and list
 * alone. Offsets are not negative. No pointer is NULL, `err` and `ctx` included,
 * and all of them are lent for the call. The `ctx` of reader_open and writer_open
 * stays valid until reader_free and writer_free. A slot that waits for something
 * should ask sd_context_status(ctx) now and then and return what it says.
 *
 * ANSWERS. A slot returns SD_OK or an SD_ERR_ code. With a failure it may store an
 * error of sd_error_new in `*err`. The library takes that over, adds the driver's
 * name, and the path unless sd_error_set_path named another. The code that the
 * slot returns counts, whatever code the error has. Outputs are made with
 * sd_buffer_new, sd_names_new and sd_file_info_new, and with SD_OK they become the
 * library's; with a failure they are not looked at.
 *
 * A wrong answer (SD_OK without an output, the info of another path, a name from
 * elsewhere, a number that is no status, a size that cannot be) makes the call
 * fail with SD_ERR_DRIVER and a message that says what was wrong.
 *
 * FAILURES. SD_ERR_PATH_NOT_FOUND where nothing is at the path, also if it lies
 * below a file. SD_ERR_NOT_DIRECTORY from list for a file. Where directories are
 * real, SD_ERR_IS_DIRECTORY for a directory in place of a file, and
 * SD_ERR_NOT_DIRECTORY for a file to be made below a file. SD_ERR_NO_SPACE,
 * SD_ERR_PERMISSION, SD_ERR_THROTTLED and SD_ERR_UNAVAILABLE as they are described
 * in section 2. SD_ERR_DRIVER for the rest, always with an error that explains it.
 * What was reported as stored is stored: a slot that changes something returns
 * when the change would survive a loss of power, as far as the store can tell.
 *
 * THREADS. Any thread may call a slot, and several at once may call the same one;
 * only the slots of one reader or writer are called one after another. A slot may
 * block, and may call the library, on other drivers as well. It must not throw or
 * longjmp through the library. In a child of a fork no slot of a driver that was
 * made before it is called, not even free; its calls return SD_ERR_FORKED.
 */
typedef struct sd_driver_vtable {
    size_t struct_size;
    /**
     * SD_CAP_ flags: how this store differs from the simplest one, on which
     * directories are only prefixes of files and uploads are hidden until commit.
     */
    uint32_t capabilities;
    /**
     * How many calls may run inside the driver at once; further ones wait until
     * their context ends. 0: any number.
     */
    uint32_t max_concurrency;
    /**
     * Release `self`. Called once, when the last driver handle, reader, writer and
     * walker is gone, on the thread that freed it. May be NULL.
     */
    void (*free)(void *self);
    /** Give all bytes of the file. */
    sd_status (*get_content)(void *self, const sd_context *ctx, const char *path,
                             sd_buffer **out, sd_error **err);
    /**
     * Store the file, in place of what was there: all of it or, on failure,
     * nothing. `len` may be 0.
     */
    sd_status (*put_content)(void *self, const sd_context *ctx, const char *path,
                             const void *data, size_t len, sd_error **err);
    /**
     * Tell what is at the path, which the info repeats: a file with its size and
     * the time of its last change, or a directory, of size 0. A time that is not
     * known is 0; none is negative.
     */
    sd_status (*stat)(void *self, const sd_context *ctx, const char *path,
                      sd_file_info **out, sd_error **err);
    /**
     * Give the full paths of the direct children, files and directories, in any
     * order. Names that the grammar excludes must be left out.
     */
    sd_status (*list)(void *self, const sd_context *ctx, const char *path,
                      sd_names **out, sd_error **err);
    /**
     * Move a file, over a file that may be at `dest`. Onto itself it only checks
     * that the file exists. SD_ERR_IS_DIRECTORY, with the path, if `source` is a
     * directory, on any store.
     */
    sd_status (*move)(void *self, const sd_context *ctx, const char *source,
                      const char *dest, sd_error **err);
    /**
     * Delete the file, or the directory with everything below it, and the uploads
     * at and below the path; but nothing beside it: "/ab" is not below "/a".
     */
    sd_status (*remove)(void *self, const sd_context *ctx, const char *path,
                        sd_error **err);
    /**
     * Give a URL at which a client can fetch the file itself, or leave `*out` as it
     * is, which is NULL, if there is none. `request` has all its fields; its method
     * is never NULL. The file need not exist. The slot may be NULL.
     */
    sd_status (*redirect_url)(void *self, const sd_context *ctx, const char *path,
                              const sd_redirect_request *request, sd_buffer **out,
                              sd_error **err);
    /**
     * Open a file for reading. At or past its end `offset` is no error. `*reader`
     * becomes anything but NULL, and is the reader of the next two slots. It goes on
     * with this content, or fails with SD_ERR_CONFLICT, while the path is replaced.
     */
    sd_status (*reader_open)(void *self, const sd_context *ctx, const char *path,
                             int64_t offset, void **reader, sd_error **err);
    /**
     * Fill the front of `buf`, which has `cap` bytes, at least one, and say in
     * `*len` how many came; 0 is the end of the file and nothing else is. A failed
     * read leaves the position where it was.
     */
    sd_status (*reader_read)(void *reader, void *buf, size_t cap, size_t *len,
                             sd_error **err);
    /** Release the reader. Called once, before `self` is freed. */
    void (*reader_free)(void *reader);
    /**
     * Open an upload. `flags` is 0 or SD_WRITER_APPEND. Without it the upload starts
     * over at size 0, an earlier one at the path is forgotten, and committed content
     * stays as it is until writer_commit. With it the upload goes on where the last
     * one at the path was closed; if there is none, after the committed content, or
     * fails with SD_ERR_UNSUPPORTED if that is not empty and SD_CAP_EXACT_APPEND is
     * not set; if there is none either, with SD_ERR_PATH_NOT_FOUND.
     * `*writer` becomes anything but NULL, and is the writer of the slots below.
     */
    sd_status (*writer_open)(void *self, const sd_context *ctx, const char *path,
                             uint32_t flags, void **writer, sd_error **err);
    /**
     * Take all `len` bytes, at least one, or fail. Called while the writer is open;
     * after a failure only writer_cancel or writer_close follow.
     */
    sd_status (*writer_write)(void *writer, const void *data, size_t len,
                              sd_error **err);
    /**
     * How many bytes the upload has: those of earlier sessions and every one that
     * was taken, flushed or not. After writer_close: what an append would find.
     */
    uint64_t (*writer_size)(void *writer);
    /**
     * Make the upload the content of its path, durably and at once. Called while the
     * writer is open. On failure nothing has changed at the path and the writer
     * stays open; on success only writer_free follows.
     */
    sd_status (*writer_commit)(void *writer, const sd_context *ctx, sd_error **err);
    /**
     * Discard a fresh upload; take an append back to the length that writer_open
     * found, or where the store cannot, discard that upload, too. Committed content
     * stays. Called while the writer is open or after a failed write; on success
     * only writer_free follows.
     */
    sd_status (*writer_cancel)(void *writer, const sd_context *ctx, sd_error **err);
    /**
     * Make what was written durable, uncommitted, so that an append can go on with
     * it in any process. Called while the writer is open or after a failed write,
     * when it keeps what it can; on success only writer_free follows.
     */
    sd_status (*writer_close)(void *writer, const sd_context *ctx, sd_error **err);
    /**
     * Release the writer, without any I/O that can fail. Called once, before `self`
     * is freed, in any state: what was not flushed may be lost.
     */
    void (*writer_free)(void *writer);
} sd_driver_vtable;

/**
 * How drivers of one name are made. Set struct_size to sizeof(sd_factory_vtable)
 * and everything else to zero, then fill in the slots.
 */
typedef struct sd_factory_vtable {
    size_t struct_size;
    /**
     * Make a driver: `*vtable` becomes its functions, which are copied, and `*self`
     * what they work on, which may be NULL. `params` is lent for the call; refuse
     * what you do not know in it, by name, with SD_ERR_INVALID_PARAMETER. Called by
     * any thread, several at once. What is said at sd_driver_vtable about arguments
     * and answers holds. If the vtable is one that sd_driver_new would refuse,
     * sd_factory_create fails with SD_ERR_DRIVER and `*self` goes to its free.
     */
    sd_status (*create)(void *user, const sd_context *ctx, const sd_params *params,
                        const sd_driver_vtable **vtable, void **self, sd_error **err);
    /**
     * Release `user`. Called once, by sd_runtime_shutdown, though drivers that were
     * made may still be there. May be NULL.
     */
    void (*free)(void *user);
} sd_factory_vtable;

/**
 * Make a driver from functions of your own, without registering a name for it.
 *
 * It is used like any other: paths are checked, writers keep to their states, and
 * calls are counted, timed and logged under `name`, which consists of lower-case
 * letters, digits and hyphens.
 *
 * Ownership: `vtable` is copied. On success `self` is the library's, which gives
 *            it to the vtable's free in the end; on failure it stays yours.
 *            `*out` is yours: release it with sd_driver_free.
 * Threads:   any.
 * Errors:    SD_ERR_INVALID_ARGUMENT  a slot is NULL that may not be, or a
 *                                     capability is unknown: the message names it;
 *                                     `name` is no name
 *            SD_ERR_STRUCT_SIZE       the vtable has slots that this library has not
 * Since:     1.0
 */
sd_status sd_driver_new(const char *name, const sd_driver_vtable *vtable, void *self,
                        sd_driver **out, sd_error **err);

/**
 * Add a name that sd_factory_create knows, until sd_runtime_shutdown.
 *
 * A program may do so before it does anything else, in a static initialiser too:
 * nothing starts. sd_runtime_shutdown removes every name that was added. A child of
 * a fork has the names as well, but does not call their `free`.
 *
 * Ownership: `vtable` is copied. On success `user` is the library's, which gives
 *            it to the vtable's free in the end; on failure it stays yours.
 * Threads:   any.
 * Errors:    SD_ERR_ALREADY_REGISTERED  a driver has this name
 *            SD_ERR_INVALID_ARGUMENT    create is NULL, or `name` is no name:
 *                                       lower-case letters, digits and hyphens
 * Since:     1.0
 */
sd_status sd_factory_register(const char *name, const sd_factory_vtable *vtable,
                              void *user, sd_error **err);

/* ---- 12. Completion queue -------------------------------------------------------- */

/**
 * A completion queue: calls that do not block. You submit a call with a tag of
 * your own, go on with your work, and take its completion when the queue's
 * descriptor is readable. For an epoll loop:
 *
 *   epoll_ctl(ep, EPOLL_CTL_ADD, sd_cq_fd(cq), ...);
 *   sd_submit_stat(cq, tag, driver, ctx, path, &err);
 *   ... when epoll_wait says that the descriptor is readable:
 *   while (sd_cq_next(cq, 0, &completion, NULL) == SD_OK) {
 *       switch on sd_completion_tag(completion): sd_completion_take_...
 *       sd_completion_free(completion);
 *   }
 *
 * 1. A submission that returns SD_OK gives exactly one completion, whatever
 *    happens: success, failure, cancellation, shutdown. One that fails gives none.
 * 2. The descriptor is readable exactly while a completion waits, so level and
 *    edge triggering both work if you take until SD_EMPTY. Poll it; never read,
 *    write or close it.
 * 3. Completions come in no particular order. The tag is returned untouched.
 * 4. Memory given to sd_submit_reader_read and sd_submit_writer_write is lent
 *    until the completion is taken. Everything else is copied at submission.
 * 5. A reader, writer or walker has one call in flight at most, or the second is
 *    SD_ERR_INVALID_STATE; a driver and a queue any number. A handle may be used
 *    with and without a queue in turn, and freed while a call on it is in flight.
 * 6. Cancel through the context. Reads, writes and walker steps obey the context
 *    that the handle was opened with.
 * 7. Nothing of yours runs on the library's threads but drivers written in C and
 *    hooks. They start with the first submission.
 *
 * Any thread may submit; one at a time takes.
 */
typedef struct sd_cq sd_cq;

/**
 * The answer to one submission. What it brings is moved out with the
 * sd_completion_take_ function for it, once; what is not taken is freed with the
 * completion. Taking what is not there gives NULL.
 */
typedef struct sd_completion sd_completion;

/**
 * Make a queue.
 *
 * Ownership: `*out` is yours; free it with sd_cq_free.
 * Threads:   any.
 * Errors:    SD_ERR_DRIVER  the process has no descriptor left
 * Since:     1.0
 */
sd_status sd_cq_new(sd_cq **out, sd_error **err);

/**
 * The descriptor that is readable exactly while a completion waits; -1 for NULL.
 *
 * Ownership: the queue's; it lives as long as the queue does.
 * Threads:   any.
 * Since:     1.0
 */
int sd_cq_fd(const sd_cq *cq);

/**
 * Take the next completion, waiting for up to `timeout_ms` milliseconds: 0 does
 * not wait, a negative number waits without end.
 *
 * Returns SD_EMPTY, and writes nothing, if none came in time.
 *
 * Ownership: `*out` is yours; free it with sd_completion_free.
 * Threads:   one at a time.
 * Errors:    SD_ERR_FORKED  the queue is the parent's
 * Since:     1.0
 */
sd_status sd_cq_next(sd_cq *cq, int64_t timeout_ms, sd_completion **out,
                     sd_error **err);

/**
 * How many submissions have no completion yet.
 *
 * Threads:   any.
 * Since:     1.0
 */
size_t sd_cq_in_flight(const sd_cq *cq);

/**
 * Cancel what is in flight, wait for it, and free the queue with the completions
 * that were not taken. NULL is fine.
 *
 * Afterwards no memory of yours is in use. It waits as long as a system call or a
 * driver written in C takes.
 *
 * Threads:   any, but not while another thread still uses the queue, and not from
 *            inside a callback or a hook.
 * Since:     1.0
 */
void sd_cq_free(sd_cq *cq);

/**
 * Submit sd_get_content.
 * sd_completion_take_buffer gives the content.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_get_content(sd_cq *cq, uint64_t tag, const sd_driver *driver,
                                const sd_context *ctx, const char *path,
                                sd_error **err);

/**
 * Submit sd_put_content.
 *
 * Ownership: `data` is copied.
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_put_content(sd_cq *cq, uint64_t tag, const sd_driver *driver,
                                const sd_context *ctx, const char *path,
                                const void *data, size_t len, sd_error **err);

/**
 * Submit sd_stat.
 * sd_completion_take_file_info gives the info.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_stat(sd_cq *cq, uint64_t tag, const sd_driver *driver,
                         const sd_context *ctx, const char *path, sd_error **err);

/**
 * Submit sd_list.
 * sd_completion_take_names gives the names.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_list(sd_cq *cq, uint64_t tag, const sd_driver *driver,
                         const sd_context *ctx, const char *path, sd_error **err);

/**
 * Submit sd_list_page.
 * sd_completion_take_names gives the names.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_list_page(sd_cq *cq, uint64_t tag, const sd_driver *driver,
                              const sd_context *ctx, const char *path,
                              const char *start_after, size_t limit, sd_error **err);

/**
 * Submit sd_move.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_move(sd_cq *cq, uint64_t tag, const sd_driver *driver,
                         const sd_context *ctx, const char *source, const char *dest,
                         sd_error **err);

/**
 * Submit sd_delete.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_delete(sd_cq *cq, uint64_t tag, const sd_driver *driver,
                           const sd_context *ctx, const char *path, sd_error **err);

/**
 * Submit sd_redirect_url.
 * sd_completion_take_buffer gives the URL, or NULL.
 *
 * Ownership: `request` may be NULL and is copied.
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_redirect_url(sd_cq *cq, uint64_t tag, const sd_driver *driver,
                                 const sd_context *ctx, const char *path,
                                 const sd_redirect_request *request, sd_error **err);

/**
 * Submit sd_reader_open.
 * sd_completion_take_reader gives the reader.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_reader_open(sd_cq *cq, uint64_t tag, const sd_driver *driver,
                                const sd_context *ctx, const char *path, int64_t offset,
                                sd_error **err);

/**
 * Submit sd_reader_read.
 * sd_completion_count gives the length; 0 with SD_OK is the end.
 *
 * Ownership: `buf` is lent until the completion is taken.
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_reader_read(sd_cq *cq, uint64_t tag, sd_reader *reader, void *buf,
                                size_t cap, sd_error **err);

/**
 * Submit sd_writer_open.
 * sd_completion_take_writer gives the writer.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_writer_open(sd_cq *cq, uint64_t tag, const sd_driver *driver,
                                const sd_context *ctx, const char *path, uint32_t flags,
                                sd_error **err);

/**
 * Submit sd_writer_write.
 *
 * Ownership: `data` is lent until the completion is taken.
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_writer_write(sd_cq *cq, uint64_t tag, sd_writer *writer,
                                 const void *data, size_t len, sd_error **err);

/**
 * Submit sd_writer_commit.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_writer_commit(sd_cq *cq, uint64_t tag, sd_writer *writer,
                                  const sd_context *ctx, sd_error **err);

/**
 * Submit sd_writer_cancel.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_writer_cancel(sd_cq *cq, uint64_t tag, sd_writer *writer,
                                  const sd_context *ctx, sd_error **err);

/**
 * Submit sd_writer_close.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_writer_close(sd_cq *cq, uint64_t tag, sd_writer *writer,
                                 const sd_context *ctx, sd_error **err);

/**
 * Submit sd_walker_next.
 * sd_completion_take_file_info gives the entry, or NULL at the end.
 *
 * Threads:   any.
 * Errors:    those of the submission alone; those of the call come in the
 *            completion
 * Since:     1.0
 */
sd_status sd_submit_walker_next(sd_cq *cq, uint64_t tag, sd_walker *walker,
                                sd_error **err);

/**
 * The tag of the submission.
 *
 * Threads:   any.
 * Since:     1.0
 */
uint64_t sd_completion_tag(const sd_completion *completion);

/**
 * What the blocking function would have returned.
 *
 * Threads:   any.
 * Since:     1.0
 */
sd_status sd_completion_status(const sd_completion *completion);

/**
 * How many bytes a read or a write moved, 0 for everything else. A read that
 * moved none and succeeded is at the end of the file.
 *
 * Threads:   any.
 * Since:     1.0
 */
uint64_t sd_completion_count(const sd_completion *completion);

/**
 * The error of a call that failed, else NULL.
 *
 * Ownership: lives as long as the completion, unless it is taken.
 * Threads:   any.
 * Since:     1.0
 */
const sd_error *sd_completion_error(const sd_completion *completion);

/**
 * Take the error of a call that failed.
 *
 * Ownership: yours; free it with sd_error_free.
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_error *sd_completion_take_error(sd_completion *completion);

/**
 * Take the content of sd_submit_get_content, or the URL of
 * sd_submit_redirect_url, for which NULL means that you serve the file yourself.
 *
 * Ownership: yours; free it with sd_buffer_free.
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_buffer *sd_completion_take_buffer(sd_completion *completion);

/**
 * Take the info of sd_submit_stat or sd_submit_walker_next, for which NULL with
 * SD_OK is the end of the walk.
 *
 * Ownership: yours; free it with sd_file_info_free.
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_file_info *sd_completion_take_file_info(sd_completion *completion);

/**
 * Take the names of sd_submit_list or sd_submit_list_page.
 *
 * Ownership: yours; free it with sd_names_free.
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_names *sd_completion_take_names(sd_completion *completion);

/**
 * Take the reader of sd_submit_reader_open.
 *
 * Ownership: yours; free it with sd_reader_free.
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_reader *sd_completion_take_reader(sd_completion *completion);

/**
 * Take the writer of sd_submit_writer_open.
 *
 * Ownership: yours; free it with sd_writer_free.
 * Threads:   exclusive.
 * Since:     1.0
 */
sd_writer *sd_completion_take_writer(sd_completion *completion);

/**
 * Free a completion with what was not taken from it. NULL is fine.
 *
 * Threads:   any.
 * Since:     1.0
 */
void sd_completion_free(sd_completion *completion);

/* ---- 13. Logs and metrics -------------------------------------------------------- */

#define SD_LOG_ERROR 1
#define SD_LOG_WARN  2
#define SD_LOG_INFO  3
#define SD_LOG_DEBUG 4
#define SD_LOG_TRACE 5

/**
 * One line of the log. Made by the library only and read through a pointer: do
 * not copy it by value, it may grow.
 */
typedef struct sd_log_record {
    /** Set by the library: fields beyond it are not there. */
    size_t struct_size;
    /** Nanoseconds since 1970-01-01 UTC. */
    int64_t time_ns;
    /** SD_LOG_ERROR to SD_LOG_TRACE. */
    int32_t level;
    /** The part of the library that speaks. */
    const char *target;
    /** One line of plain text. */
    const char *message;
    /** A JSON object: the context's fields and the record's own. */
    const char *fields_json;
} sd_log_record;

/** Takes one record, which is lent until it returns. */
typedef void (*sd_log_fn)(void *user, const sd_log_record *record);

/**
 * Send log records up to `max_level` to `hook`; NULL removes the hook.
 *
 * The library writes nothing anywhere by itself. When this returns, the hook that
 * was set before is not running and never will again, so that what its `user`
 * points to can be freed.
 *
 * Ownership: `user` stays yours and is handed to every call of `hook`.
 * Threads:   any. `hook` is called on any thread, concurrently; it must be quick,
 *            must not throw, and must not call the library: a record that it would
 *            cause is dropped.
 * Errors:    SD_ERR_INVALID_ARGUMENT  `max_level` is not one of the levels
 *            SD_ERR_INVALID_STATE     called from inside a hook
 * Since:     1.0
 */
sd_status sd_log_set_hook(sd_log_fn hook, void *user, int32_t max_level);

/**
 * One finished call. Made by the library only and read through a pointer: do not
 * copy it by value, it may grow.
 */
typedef struct sd_metric {
    /** Set by the library: fields beyond it are not there. */
    size_t struct_size;
    const char *driver;
    /**
     * "GetContent", "PutContent", "Stat", "List", "Move", "Delete", "RedirectURL",
     * "Reader", "Read", "Writer", "Write", "Commit", "Cancel", "Close" or "Walk".
     */
    const char *action;
    /** How it ended. */
    sd_status status;
    /** Time inside the driver; waiting for a concurrency slot is not counted. */
    uint64_t duration_ns;
    /** Bytes read or written. */
    uint64_t bytes;
} sd_metric;

/** Takes one metric, which is lent until it returns. */
typedef void (*sd_metrics_fn)(void *user, const sd_metric *metric);

/**
 * Tell `hook` of every finished call; NULL removes the hook. The rules are those
 * of sd_log_set_hook.
 *
 * Ownership: `user` stays yours and is handed to every call of `hook`.
 * Threads:   any. `hook` is called on any thread, concurrently; it must be quick,
 *            must not throw, and must not call the library.
 * Errors:    SD_ERR_INVALID_STATE  called from inside a hook
 * Since:     1.0
 */
sd_status sd_metrics_set_hook(sd_metrics_fn hook, void *user);

/**
 * All metrics of this process in Prometheus' text form, to be served as they are:
 * registry_storage_action_seconds and its kin, with the labels driver and action.
 *
 * Ownership: `*out` is yours; free it with sd_buffer_free.
 * Threads:   any.
 * Since:     1.0
 */
sd_status sd_metrics_text(sd_buffer **out, sd_error **err);

/* ---- 14. Conformance ------------------------------------------------------------- */

/**
 * Is told of each case when it has ended: SD_OK, SD_ERR_CONFORMANCE if it failed,
 * SD_ERR_UNSUPPORTED if it was skipped. `detail` says why, or is "". Both texts
 * are lent until it returns.
 */
typedef void (*sd_case_fn)(void *user, const char *name, sd_status status,
                           const char *detail);

/**
 * What to run of the suite. Set struct_size to sizeof(sd_conformance_options) and
 * everything else to zero, then what you need.
 */
typedef struct sd_conformance_options {
    size_t struct_size;
    /** A glob over the names of cases, "*append*"; NULL runs all. */
    const char *filter;
    /**
     * The most bytes that a case may store at a time; 0: 128 MiB. The case of
     * 5 GiB runs only where this allows it.
     */
    uint64_t max_object_size;
    /** SD_CONFORMANCE_ flags. */
    uint32_t flags;
    /** Called on the calling thread after each case; may be NULL. */
    sd_case_fn on_case;
    /** Handed to `on_case`. */
    void *user;
} sd_conformance_options;

#define SD_CONFORMANCE_NO_REDIRECT 0x1u  /* sd_conformance_options.flags: do not ask
                                            for redirect URLs. */

/**
 * Put a driver to the test: run every promise of this library as a case named
 * "topic/promise".
 *
 * Works below two random directories of its own and deletes those alone, so it
 * may run on a store that is in use. The report is a JSON object: "driver",
 * "seed", "directory", "passed", "failed", "skipped", and "cases" with "name",
 * "outcome", "detail" and "duration_ms".
 *
 * Ownership: `options` may be NULL. `*report_json` is yours; free it with
 *            sd_buffer_free. It is written also when the call returns
 *            SD_ERR_CONFORMANCE. `report_json` may be NULL.
 * Threads:   shared; the cases use threads of their own, `on_case` does not.
 * Errors:    SD_ERR_CONFORMANCE       at least one case failed
 *            SD_ERR_INVALID_ARGUMENT  the filter is malformed or matches nothing
 *            SD_ERR_CANCELLED, SD_ERR_DEADLINE  from `ctx`, between two cases
 * Since:     1.0
 */
sd_status sd_conformance_run(const sd_driver *driver, const sd_context *ctx,
                             const sd_conformance_options *options,
                             sd_buffer **report_json, sd_error **err);

/* ---- 15. Runtime ----------------------------------------------------------------- */

/**
 * How the library's threads and driver processes are to be. Set struct_size to
 * sizeof(sd_runtime_options) and everything else to zero, then what you need.
 */
typedef struct sd_runtime_options {
    size_t struct_size;
    /** Threads for network drivers, at most 1024; 0: one per CPU, at most 8. */
    uint32_t worker_threads;
    /**
     * Most threads for queued calls of other drivers; 0: 64. There are never more than
     * such calls in flight, and those that are idle for 10 seconds end.
     */
    uint32_t max_blocking_threads;
    /** How the names of our threads start; NULL: "sd". */
    const char *thread_name;
    /**
     * Directories, with colons between, for programs called
     * registry-storage-NAME; NULL: SD_DRIVER_PATH of the environment, then PATH.
     */
    const char *driver_path;
    /** SD_RUNTIME_ flags. */
    uint32_t flags;
} sd_runtime_options;

#define SD_RUNTIME_NO_CHILDREN 0x1u  /* sd_runtime_options.flags: never start a
                                        driver process. */

/**
 * Configure the library, once and before the first driver is created. A program
 * that is content with the defaults need not call it.
 *
 * Ownership: everything is copied.
 * Threads:   any.
 * Errors:    SD_ERR_INVALID_STATE  configured or in use already
 *            SD_ERR_STRUCT_SIZE    the options are newer than this library
 * Since:     1.0
 */
sd_status sd_runtime_configure(const sd_runtime_options *options, sd_error **err);

/**
 * End all work of the library in this process.
 *
 * Calls on drivers, readers, writers and walkers that exist now are refused with
 * SD_ERR_SHUTDOWN from here on, and until this returns new ones cannot be made; calls
 * that are running are waited for, up to `timeout_ms`. Streams and walks with a
 * callback are not: their next step is refused, and what they had begun stays as it
 * is. Then the names that sd_factory_register added are removed and what they own is
 * freed. Objects must still be freed. Afterwards the library may be configured and
 * used anew. A program that just exits need not call it.
 *
 * Threads:   any, but not from inside a callback.
 * Errors:    SD_ERR_DEADLINE  calls were still running after `timeout_ms`; call it
 *                             again to go on waiting
 * Since:     1.0
 */
sd_status sd_runtime_shutdown(uint64_t timeout_ms, sd_error **err);

/* ---- 16. Drivers in a process of their own --------------------------------------- */

/**
 * The whole main() of a program registry-storage-NAME.
 *
 * Makes the driver with the parameters that the host has sent, as sd_factory_register
 * has it for one in the process, and serves it until the host has no more use for it
 * or has ended. It prints to the standard error, which is the host's log, why it
 * cannot. What is spoken between the two is in docs/driver-protocol.md, so that a
 * program need not use this library at all. `name` is the driver's, in errors and
 * metrics; NULL: what follows "registry-storage-" in argv[0]. `vtable` NULL: the
 * library's own driver of that name.
 *
 * The host keeps four parameters for itself: `process`, use a program even if the
 * library has a driver of that name; `processrestart`, start the program again for the
 * next call after it died, at most every 100 ms, later 30 s; `processstarttimeout`, the
 * milliseconds (10000) in which it must be ready; `processargv`, repeat the parameters
 * in argv[1], where others on the machine can read them.
 *
 * Ownership: `vtable` is copied. `user` goes to its free before this returns.
 * Threads:   one call in a process. The slots are called by threads of the library.
 * Errors:    returns what main should: 0 when the host is done, 1 after a failure, 2
 *            when no host has started the program or an argument is wrong
 * Since:     1.0
 */
int sd_driver_main(int argc, char **argv, const char *name,
                   const sd_factory_vtable *vtable, void *user);

#ifdef __cplusplus
}
#endif

#endif /* STORAGEDRIVER_H */
