/* A driver in C for the tests of section 11: a small store in memory that gives wrong
 * answers when it is told to, and counts what is done to it. */
#ifndef CUSTOM_DRIVER_H
#define CUSTOM_DRIVER_H

#include "harness.h"

#include <pthread.h>
#include <stdint.h>
#include <time.h>

enum fault {
    NONE,
    GET_NULL,
    GET_TYPE,
    STAT_NULL,
    STAT_TYPE,
    STAT_PATH,
    STAT_DIR_SIZE,
    STAT_SIZE,
    STAT_TIME,
    LIST_NULL,
    LIST_TYPE,
    LIST_OUTSIDE,
    LIST_GRANDCHILD,
    LIST_ITSELF,
    LIST_GRAMMAR,
    LIST_SIBLING,
    READER_NULL,
    READ_LONG,
    READ_UNSET,
    WRITER_NULL,
    SIZE_AT_OPEN,
    SIZE_SHRINKS,
    SIZE_LIES,
    SIZE_AT_CLOSE,
    REDIRECT_EMPTY,
    REDIRECT_BYTES,
    STATUS_POSITIVE,
    STATUS_UNKNOWN,
    STATUS_KNOWN,
    OTHER_CODE,
    ERROR_ON_SUCCESS,
    ATTRIBUTES,
    WRITE_FAILS,
    FREES_WHAT_IS_LENT
};

struct file {
    char path[64], data[4096];
    size_t len;
    int used, upload;
};
struct store {
    pthread_mutex_t lock;
    struct file files[64];
    enum fault fault;
    int frees, readers, writers, reader_frees, writer_frees, calls, inside, most_inside;
    int bad_ctx, bad_order, slow;
    sd_names *stray_names; /* given as something else, so still the driver's */
    sd_buffer *stray_buffer;
    char method[16], address[32];
    uint32_t expires;
    struct reader *last_reader;
};
struct reader {
    struct store *store;
    const sd_context *ctx;
    struct file copy;
    size_t at;
};
struct writer {
    struct store *store;
    const sd_context *ctx;
    struct file file;
    size_t start;
};

static struct file *find(struct store *s, const char *path, int upload)
{
    for (int i = 0; i < 64; i++) {
        struct file *f = &s->files[i];
        if (f->used && f->upload == upload && strcmp(f->path, path) == 0)
            return f;
    }
    return NULL;
}
static int is_below(const char *path, const char *directory)
{
    size_t len = strcmp(directory, "/") == 0 ? 0 : strlen(directory);
    return strncmp(path, directory, len) == 0 && path[len] == '/';
}
static int is_directory(struct store *s, const char *path)
{
    if (strcmp(path, "/") == 0)
        return 1;
    for (int i = 0; i < 64; i++)
        if (s->files[i].used && !s->files[i].upload && is_below(s->files[i].path, path))
            return 1;
    return 0;
}
static void put(struct store *s, const char *path, const void *data, size_t len, int upload)
{
    struct file *f = find(s, path, upload);
    for (int i = 0; !f && i < 64; i++)
        if (!s->files[i].used)
            f = &s->files[i];
    if (!f)
        abort(); /* more files than any test makes */
    snprintf(f->path, sizeof f->path, "%s", path);
    memcpy(f->data, data, len);
    f->len = len, f->used = 1, f->upload = upload;
}
static void enter(struct store *s, const sd_context *ctx)
{
    pthread_mutex_lock(&s->lock);
    s->calls++;
    s->bad_ctx += ctx == NULL || sd_context_status(ctx) == SD_ERR_INVALID_ARGUMENT;
    if (++s->inside > s->most_inside)
        s->most_inside = s->inside;
    pthread_mutex_unlock(&s->lock);
    if (s->slow)
        nanosleep(&(struct timespec){0, 20000}, NULL);
    pthread_mutex_lock(&s->lock);
}
/* Leaves a slot, with the faults that any slot can have. */
static sd_status leave(struct store *s, sd_status status, sd_error **err)
{
    enum fault fault = s->fault;
    s->inside--;
    pthread_mutex_unlock(&s->lock);
    switch (fault) {
    case STATUS_POSITIVE: return 7;
    case STATUS_UNKNOWN: *err = sd_error_new(SD_ERR_NO_SPACE, "strange"); return -9999;
    case STATUS_KNOWN: return SD_ERR_NO_SPACE;
    case OTHER_CODE:
        *err = sd_error_new(SD_ERR_CONFLICT, "a cause");
        return SD_ERR_THROTTLED;
    case ERROR_ON_SUCCESS: *err = sd_error_new(SD_ERR_CONFLICT, "none"); return status;
    case ATTRIBUTES:
        *err = sd_error_new(SD_ERR_UNAVAILABLE, "out to lunch");
        sd_error_set_path(*err, "/elsewhere");
        sd_error_set_offset(*err, 17);
        sd_error_set_http_status(*err, 503);
        sd_error_set_retry_after_ms(*err, 1500);
        sd_error_set_request_id(*err, "req-1");
        return SD_ERR_UNAVAILABLE;
    default: return status;
    }
}

static void slot_free(void *self)
{
    struct store *s = self;
    s->bad_order += s->readers != s->reader_frees || s->writers != s->writer_frees;
    s->frees++;
}
static sd_status slot_get(void *self, const sd_context *ctx, const char *path,
                          sd_buffer **out, sd_error **err)
{
    struct store *s = self;
    enter(s, ctx);
    struct file *f = find(s, path, 0);
    if (f && s->fault == GET_TYPE)
        *out = (sd_buffer *)(void *)(s->stray_names = sd_names_new());
    else if (f && s->fault != GET_NULL)
        *out = sd_buffer_new(f->data, f->len);
    if (s->fault == FREES_WHAT_IS_LENT)
        sd_context_free((sd_context *)(uintptr_t)ctx);
    sd_status status = leave(s, f ? SD_OK : SD_ERR_PATH_NOT_FOUND, err);
    if (status != SD_OK)
        sd_buffer_free(*out);
    return status;
}
static sd_status slot_put(void *self, const sd_context *ctx, const char *path,
                          const void *data, size_t len, sd_error **err)
{
    struct store *s = self;
    enter(s, ctx);
    s->bad_ctx += data == NULL;
    put(s, path, data, len, 0);
    return leave(s, SD_OK, err);
}
static sd_status slot_stat(void *self, const sd_context *ctx, const char *path,
                           sd_file_info **out, sd_error **err)
{
    struct store *s = self;
    enter(s, ctx);
    struct file *f = find(s, path, 0);
    int directory = !f && is_directory(s, path);
    uint64_t size = f ? f->len : s->fault == STAT_DIR_SIZE;
    int64_t time = s->fault == STAT_TIME ? -1 : 1000;
    if (s->fault == STAT_SIZE)
        size = (uint64_t)-1;
    if (s->fault == STAT_TYPE)
        *out = (sd_file_info *)(void *)(s->stray_names = sd_names_new());
    else if (s->fault != STAT_NULL)
        *out = sd_file_info_new(s->fault == STAT_PATH ? "/other" : path, size, time,
                                directory ? SD_INFO_DIR : 0);
    sd_status status = leave(s, f || directory ? SD_OK : SD_ERR_PATH_NOT_FOUND, err);
    if (status != SD_OK)
        sd_file_info_free(*out); /* and its address stays there */
    return status;
}
static sd_status slot_list(void *self, const sd_context *ctx, const char *path,
                           sd_names **out, sd_error **err)
{
    struct store *s = self;
    enter(s, ctx);
    if (find(s, path, 0))
        return leave(s, SD_ERR_NOT_DIRECTORY, err);
    if (!is_directory(s, path))
        return leave(s, SD_ERR_PATH_NOT_FOUND, err);
    if (s->fault == LIST_NULL)
        return leave(s, SD_OK, err);
    if (s->fault == LIST_TYPE)
        *out = (sd_names *)(void *)(s->stray_buffer = sd_buffer_new("", 0));
    else
        *out = sd_names_new();
    size_t len = strcmp(path, "/") == 0 ? 0 : strlen(path);
    for (int i = 0; i < 64 && s->fault != LIST_TYPE; i++) {
        struct file *f = &s->files[i];
        char child[64];
        if (!f->used || f->upload || !is_below(f->path, path))
            continue;
        size_t name = strcspn(f->path + len + 1, "/");
        snprintf(child, sizeof child, "%.*s", (int)(len + 1 + name), f->path);
        sd_names_push(*out, child); /* a directory once for each file below it */
    }
    if (s->fault == LIST_OUTSIDE)
        sd_names_push(*out, "/elsewhere/x");
    if (s->fault == LIST_SIBLING)
        sd_names_push(*out, "/directory");
    if (s->fault == LIST_GRANDCHILD)
        sd_names_push(*out, "/d/x/y");
    if (s->fault == LIST_ITSELF)
        sd_names_push(*out, "/d");
    if (s->fault == LIST_GRAMMAR)
        sd_names_push(*out, "/d/a b");
    sd_status status = leave(s, SD_OK, err);
    if (status != SD_OK)
        sd_names_free(*out);
    return status;
}
static sd_status slot_move(void *self, const sd_context *ctx, const char *source,
                           const char *dest, sd_error **err)
{
    struct store *s = self;
    enter(s, ctx);
    struct file *f = find(s, source, 0), *old = find(s, dest, 0);
    if (!f)
        return leave(s, SD_ERR_PATH_NOT_FOUND, err);
    if (strcmp(dest, "/d/file/below") == 0)
        return leave(s, SD_ERR_NOT_DIRECTORY, err);
    if (old && old != f)
        old->used = 0;
    snprintf(f->path, sizeof f->path, "%s", dest);
    return leave(s, SD_OK, err);
}
static sd_status slot_remove(void *self, const sd_context *ctx, const char *path,
                             sd_error **err)
{
    struct store *s = self;
    int found = 0;
    enter(s, ctx);
    for (int i = 0; i < 64; i++) {
        struct file *f = &s->files[i];
        if (!f->used || (strcmp(f->path, path) != 0 && !is_below(f->path, path)))
            continue;
        f->used = 0;
        found = 1;
    }
    return leave(s, found ? SD_OK : SD_ERR_PATH_NOT_FOUND, err);
}
static sd_status slot_redirect(void *self, const sd_context *ctx, const char *path,
                               const sd_redirect_request *request, sd_buffer **out,
                               sd_error **err)
{
    struct store *s = self;
    enter(s, ctx);
    snprintf(s->method, sizeof s->method, "%s", request->method);
    snprintf(s->address, sizeof s->address, "%s",
             request->remote_addr ? request->remote_addr : "");
    s->expires = request->expires_s;
    if (s->fault == REDIRECT_EMPTY)
        *out = sd_buffer_new("", 0);
    else if (s->fault == REDIRECT_BYTES)
        *out = sd_buffer_new("http://\xff", 8);
    else if (strcmp(path, "/none") != 0)
        *out = sd_buffer_new("http://x", 8);
    sd_status status = leave(s, SD_OK, err);
    if (status != SD_OK)
        sd_buffer_free(*out);
    return status;
}
static void slot_reader_free(void *reader)
{
    struct reader *r = reader;
    r->store->bad_ctx += sd_context_status(r->ctx) == SD_ERR_INVALID_ARGUMENT;
    pthread_mutex_lock(&r->store->lock);
    r->store->reader_frees++;
    r->store->bad_order += r->store->frees > 0;
    pthread_mutex_unlock(&r->store->lock);
    free(r);
}
static sd_status slot_reader_open(void *self, const sd_context *ctx, const char *path,
                                  int64_t offset, void **out, sd_error **err)
{
    struct store *s = self;
    enter(s, ctx);
    struct file *f = find(s, path, 0);
    if (f && s->fault != READER_NULL) {
        struct reader *r = calloc(1, sizeof *r);
        r->store = s, r->ctx = ctx, r->copy = *f;
        r->at = (uint64_t)offset > f->len ? f->len : (size_t)offset;
        s->readers++;
        *out = s->last_reader = r;
    }
    sd_status status = leave(s, f ? SD_OK : SD_ERR_PATH_NOT_FOUND, err);
    if (status != SD_OK && *out)
        slot_reader_free(*out);
    return status;
}
static sd_status slot_reader_read(void *reader, void *buf, size_t cap, size_t *len,
                                  sd_error **err)
{
    struct reader *r = reader;
    struct store *s = r->store;
    enter(s, r->ctx);
    size_t left = r->copy.len - r->at, now = left < cap ? left : cap;
    memcpy(buf, r->copy.data + r->at, now);
    if (s->fault != READ_UNSET)
        *len = s->fault == READ_LONG ? cap + 1 : now;
    if (s->fault == NONE)
        r->at += now;
    return leave(s, SD_OK, err);
}
static void slot_writer_free(void *writer)
{
    struct writer *w = writer;
    w->store->bad_ctx += sd_context_status(w->ctx) == SD_ERR_INVALID_ARGUMENT;
    pthread_mutex_lock(&w->store->lock);
    w->store->writer_frees++;
    w->store->bad_order += w->store->frees > 0;
    pthread_mutex_unlock(&w->store->lock);
    free(w);
}
static sd_status slot_writer_open(void *self, const sd_context *ctx, const char *path,
                                  uint32_t flags, void **out, sd_error **err)
{
    struct store *s = self;
    enter(s, ctx);
    struct file *upload = find(s, path, 1), *f = upload ? upload : find(s, path, 0);
    if (flags == SD_WRITER_APPEND && !f)
        return leave(s, SD_ERR_PATH_NOT_FOUND, err);
    if (s->fault == WRITER_NULL)
        return leave(s, SD_OK, err);
    struct writer *w = calloc(1, sizeof *w);
    w->store = s, w->ctx = ctx;
    if (flags == SD_WRITER_APPEND)
        w->file = *f;
    else if (upload)
        upload->used = 0;
    snprintf(w->file.path, sizeof w->file.path, "%s", path);
    w->start = w->file.len;
    s->writers++;
    *out = w;
    sd_status status = leave(s, SD_OK, err);
    if (status != SD_OK)
        slot_writer_free(w);
    return status;
}
static sd_status slot_writer_write(void *writer, const void *data, size_t len,
                                   sd_error **err)
{
    struct writer *w = writer;
    enter(w->store, w->ctx);
    size_t taken = w->store->fault == WRITE_FAILS ? len / 2 : len;
    w->store->bad_ctx += len == 0;
    memcpy(w->file.data + w->file.len, data, taken);
    w->file.len += taken;
    return leave(w->store, taken < len ? SD_ERR_NO_SPACE : SD_OK, err);
}
static uint64_t slot_writer_size(void *writer)
{
    struct writer *w = writer;
    switch (w->store->fault) {
    case SIZE_AT_OPEN: return 5;
    case SIZE_SHRINKS: return 1;
    case SIZE_LIES: return w->file.len + (w->file.len > w->start);
    case SIZE_AT_CLOSE: return w->file.upload ? 0 : w->file.len;
    default: return w->file.len;
    }
}
static sd_status slot_writer_commit(void *writer, const sd_context *ctx, sd_error **err)
{
    struct writer *w = writer;
    enter(w->store, ctx);
    struct file *upload = find(w->store, w->file.path, 1);
    if (upload)
        upload->used = 0;
    put(w->store, w->file.path, w->file.data, w->file.len, 0);
    return leave(w->store, SD_OK, err);
}
static sd_status slot_writer_cancel(void *writer, const sd_context *ctx, sd_error **err)
{
    struct writer *w = writer;
    enter(w->store, ctx);
    struct file *upload = find(w->store, w->file.path, 1);
    if (upload)
        upload->used = 0;
    return leave(w->store, SD_OK, err);
}
static sd_status slot_writer_close(void *writer, const sd_context *ctx, sd_error **err)
{
    struct writer *w = writer;
    enter(w->store, ctx);
    put(w->store, w->file.path, w->file.data, w->file.len, 1);
    w->file.upload = 1;
    return leave(w->store, SD_OK, err);
}
static const sd_driver_vtable slots = {
    .struct_size = sizeof slots,
    .capabilities = SD_CAP_EXACT_APPEND | SD_CAP_REDIRECT,
    .free = slot_free,
    .get_content = slot_get,
    .put_content = slot_put,
    .stat = slot_stat,
    .list = slot_list,
    .move = slot_move,
    .remove = slot_remove,
    .redirect_url = slot_redirect,
    .reader_open = slot_reader_open,
    .reader_read = slot_reader_read,
    .reader_free = slot_reader_free,
    .writer_open = slot_writer_open,
    .writer_write = slot_writer_write,
    .writer_size = slot_writer_size,
    .writer_commit = slot_writer_commit,
    .writer_cancel = slot_writer_cancel,
    .writer_close = slot_writer_close,
    .writer_free = slot_writer_free,
};

static struct store *new_store(void)
{
    struct store *s = calloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    put(s, "/d/file", "content", 7, 0);
    return s;
}
static sd_driver *new_driver(struct store *s)
{
    sd_driver *driver = NULL;
    CHECK_STATUS(sd_driver_new("mine", &slots, s, &driver, NULL), SD_OK);
    return driver;
}
/* The driver was freed once, after its readers and writers. */
static void end_store(struct store *s, int frees)
{
    CHECK(s->frees == frees);
    CHECK(s->readers == s->reader_frees && s->writers == s->writer_frees);
    CHECK(s->bad_ctx == 0 && s->bad_order == 0);
    sd_names_free(s->stray_names);
    sd_buffer_free(s->stray_buffer);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
#endif
