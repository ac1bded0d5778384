/* custom_driver - a storage driver of one's own, over an SQLite database. The SQL is
 * in custom_store.c; custom_main.c puts the driver through the conformance suite.
 *
 * The library lets one call in at a time (max_concurrency below), so that nothing here
 * needs a lock. It checks paths, offsets and the states of writers, and adds the
 * driver's name and the path to errors. */
#include "custom_store.h"

#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wunused-parameter" /* ctx: SQLite waits for nobody */

static sd_status reader_open(void *self, const sd_context *ctx, const char *path,
                             int64_t offset, void **reader, sd_error **err)
{
    struct file *file = malloc(sizeof *file);
    int code = store_snapshot(self, path, file);
    file->at = offset;
    *reader = file;
    if (code != SQLITE_ROW)
        free(file);
    return answer(code, err);
}
static sd_status reader_read(void *reader, void *buf, size_t cap, size_t *len,
                             sd_error **err)
{
    return answer(store_read(reader, buf, cap, len), err);
}
static void reader_free(void *reader)
{
    sqlite3_close(((struct file *)reader)->db);
    free(reader);
}
static sd_status get_content(void *self, const sd_context *ctx, const char *path,
                             sd_buffer **out, sd_error **err)
{
    return answer(store_get(self, path, out), err);
}
static sd_status writer_open(void *self, const sd_context *ctx, const char *path,
                             uint32_t flags, void **writer, sd_error **err)
{
    struct upload *upload = malloc(sizeof *upload);
    int code = store_begin(self, path, flags == SD_WRITER_APPEND, upload);
    *writer = upload;
    if (code != SQLITE_ROW)
        free(upload);
    return answer(code, err);
}
static sd_status writer_write(void *writer, const void *data, size_t len, sd_error **err)
{
    return answer(store_write(writer, data, len), err);
}
static uint64_t writer_size(void *writer)
{
    return (uint64_t)((struct upload *)writer)->file.size;
}
static sd_status writer_commit(void *writer, const sd_context *ctx, sd_error **err)
{
    return answer(store_settle(writer, COMMITTED), err);
}
static sd_status writer_close(void *writer, const sd_context *ctx, sd_error **err)
{
    return answer(store_settle(writer, CLOSED), err);
}
static sd_status writer_cancel(void *writer, const sd_context *ctx, sd_error **err)
{
    return answer(store_discard(writer), err);
}
static sd_status put_content(void *self, const sd_context *ctx, const char *path,
                             const void *data, size_t len, sd_error **err)
{
    return answer(store_put(self, path, data, len), err);
}
static sd_status stat_path(void *self, const sd_context *ctx, const char *path,
                           sd_file_info **out, sd_error **err)
{
    struct file file;
    uint32_t flags = 0;
    int code = store_find(self, path, COMMITTED, &file);
    if (code == SQLITE_DONE && (code = store_is_directory(self, path)) == SQLITE_ROW)
        flags = SD_INFO_DIR;
    if (code == SQLITE_ROW)
        *out = sd_file_info_new(path, (uint64_t)file.size, file.mtime, flags);
    return answer(code, err);
}
static sd_status list(void *self, const sd_context *ctx, const char *path, sd_names **out,
                      sd_error **err)
{
    struct file file;
    int code = store_is_directory(self, path);
    if (code == SQLITE_DONE && store_find(self, path, COMMITTED, &file) == SQLITE_ROW)
        return SD_ERR_NOT_DIRECTORY;
    if (code == SQLITE_ROW)
        code = store_list(self, path, *out = sd_names_new());
    return answer(code, err);
}
static sd_status move_file(void *self, const sd_context *ctx, const char *source,
                           const char *dest, sd_error **err)
{
    struct file file;
    int code = store_find(self, source, COMMITTED, &file);
    if (code == SQLITE_DONE && store_is_directory(self, source) == SQLITE_ROW)
        return SD_ERR_IS_DIRECTORY;
    if (code == SQLITE_ROW && strcmp(source, dest) != 0)
        code = store_move(&file, dest);
    return answer(code, err);
}
static sd_status remove_path(void *self, const sd_context *ctx, const char *path,
                             sd_error **err)
{
    return answer(store_remove(self, path), err);
}
static void close_store(void *self)
{
    sqlite3_close(self);
}

/* clang-format off */
static const sd_driver_vtable slots = {
    .struct_size = sizeof slots, .capabilities = SD_CAP_EXACT_APPEND, .max_concurrency = 1,
    .free = close_store, .get_content = get_content, .put_content = put_content,
    .stat = stat_path, .list = list, .move = move_file, .remove = remove_path,
    .reader_open = reader_open, .reader_read = reader_read, .reader_free = reader_free,
    .writer_open = writer_open, .writer_write = writer_write, .writer_size = writer_size,
    .writer_commit = writer_commit, .writer_cancel = writer_cancel,
    .writer_close = writer_close, .writer_free = free,
};
/* clang-format on */

static sd_status create(void *user, const sd_context *ctx, const sd_params *params,
                        const sd_driver_vtable **vtable, void **self, sd_error **err)
{
    const char *path = sd_params_get_string(params, "path");
    if (path == NULL || sd_params_count(params) != 1) {
        *err = sd_error_new(SD_ERR_INVALID_PARAMETER, "the one parameter is path, a file");
        return SD_ERR_INVALID_PARAMETER;
    }
    *vtable = &slots;
    return answer(store_open(path, (sqlite3 **)self), err);
}

static const sd_factory_vtable factory = {sizeof factory, create, NULL};

sd_status register_sqlite_driver(sd_error **err)
{
    return sd_factory_register("sqlite", &factory, NULL, err);
}

int serve_sqlite_driver(int argc, char **argv)
{
    return sd_driver_main(argc, argv, "sqlite", &factory, NULL);
}
