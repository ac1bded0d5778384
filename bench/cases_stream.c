/* Large objects, in pieces: one operation is the whole stream. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define UPLOAD "/docker/registry/v2/repositories/library/debian/_uploads/1"
#define DATA   UPLOAD "/data"

static void library_write(struct env *env, enum side side)
{
    (void)side;
    sd_writer *writer = NULL;
    CHECK(sd_writer_open(env->driver, NULL, DATA, 0, &writer, &err));
    for (size_t left = env->scale; left > 0; left -= env->work->piece)
        CHECK(sd_writer_write(writer, env->data, env->work->piece, &err));
    CHECK(sd_writer_commit(writer, NULL, &err));
    if (sd_writer_size(writer) != env->scale)
        die("wrong size");
    sd_writer_free(writer);
}

static void library_read(struct env *env, enum side side)
{
    (void)side;
    sd_reader *reader = NULL;
    uint8_t *buf = malloc(env->work->piece);
    size_t total = 0, len = 0;
    CHECK(sd_reader_open(env->driver, NULL, DATA, 0, &reader, &err));
    do {
        CHECK(sd_reader_read(reader, buf, env->work->piece, &len, &err));
        total += len;
    } while (len > 0);
    if (total != env->scale)
        die("wrong size");
    sd_reader_free(reader);
    free(buf);
}

/* ---- in memory ---- */

static void nothing(struct env *env, enum side side)
{
    (void)env, (void)side;
}

static void memory_write(struct env *env, enum side side)
{
    (void)side;
    for (size_t left = env->scale; left > 0; left -= env->work->piece)
        memory_append(env->data, env->work->piece);
}

static void memory_reset(struct env *env, enum side side)
{
    if (side == LIBRARY)
        sd_delete(env->driver, NULL, DATA, NULL);
    else
        memory_clear();
}

static void memory_fill(struct env *env, enum side side)
{
    (side == LIBRARY ? library_write : memory_write)(env, side);
}

static void memory_floor_read(struct env *env, enum side side)
{
    (void)side;
    uint8_t *buf = malloc(env->work->piece);
    size_t total = 0, len;
    while ((len = memory_read(total, buf, env->work->piece)) > 0)
        total += len;
    if (total != env->scale)
        die("wrong size");
    free(buf);
}

/* ---- in files ---- */

static void file_setup(struct env *env, enum side side)
{
    make_parents(env->roots[side], DATA);
    if (side != LIBRARY)
        return;
    /* Warm: the directory's entry is durable and known to be. */
    CHECK(sd_put_content(env->driver, NULL, UPLOAD "/startedat", "now", 3, &err));
}

/* As the driver: a locked file of its final name, synced with its directory. */
static void file_write(struct env *env, enum side side)
{
    int root = env->root_fds[side];
    int directory = confined_open(root, UPLOAD, O_RDONLY | O_DIRECTORY);
    int file = openat(directory, "data", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (directory < 0 || file < 0 || flock(file, LOCK_EX | LOCK_NB) != 0)
        die("floor: %s", strerror(errno));
    for (size_t left = env->scale; left > 0; left -= env->work->piece)
        if (write(file, env->data, env->work->piece) != (ssize_t)env->work->piece)
            die("floor: write: %s", strerror(errno));
    if (!env->work->no_fsync && (fsync(file) != 0 || fsync(directory) != 0))
        die("floor: fsync: %s", strerror(errno));
    close(file);
    close(directory);
}

static void file_fill(struct env *env, enum side side)
{
    make_parents(env->roots[side], DATA);
    file_write(env, side);
}

static void file_floor_read(struct env *env, enum side side)
{
    uint8_t *buf = malloc(env->work->piece);
    int file = confined_open(env->root_fds[side], DATA, O_RDONLY);
    size_t total = 0;
    ssize_t len;
    while ((len = read(file, buf, env->work->piece)) > 0)
        total += (size_t)len;
    if (total != env->scale)
        die("floor: read: %s", strerror(errno));
    close(file);
    free(buf);
}

#define MEMORY "inmemory, streams"
#define FILES  "filesystem, streams"
#define SIZES                                                                              \
    .ops = 1, .quick_ops = 1, .fresh = true, .scales = {1024 * MIB},                       \
    .quick_scales = {32 * MIB}, .max_ratio = 1.1, .max_rss = 16 * MIB

const struct bench_case stream_cases[] = {
    {.group = MEMORY,
     .name = "write in 64 KiB",
     .driver = "inmemory",
     SIZES,
     .piece = 64 * KIB,
     .setup = nothing,
     .reset = memory_reset,
     .run = {library_write, memory_write}},
    {.group = MEMORY,
     .name = "write in 1 MiB",
     .driver = "inmemory",
     SIZES,
     .piece = MIB,
     .setup = nothing,
     .reset = memory_reset,
     .run = {library_write, memory_write},
     .upstream = "84 s"},
    {.group = MEMORY,
     .name = "read in 64 KiB",
     .driver = "inmemory",
     SIZES,
     .piece = 64 * KIB,
     .setup = memory_fill,
     .run = {library_read, memory_floor_read}},
    {.group = MEMORY,
     .name = "read in 1 MiB",
     .driver = "inmemory",
     SIZES,
     .piece = MIB,
     .setup = memory_fill,
     .run = {library_read, memory_floor_read}},
    {.group = FILES,
     .name = "write in 64 KiB",
     .driver = "filesystem",
     .writes = true,
     SIZES,
     .piece = 64 * KIB,
     .setup = file_setup,
     .run = {library_write, file_write},
     .upstream = "1.2 s"},
    {.group = FILES,
     .name = "write in 1 MiB",
     .driver = "filesystem",
     .writes = true,
     SIZES,
     .piece = MIB,
     .setup = file_setup,
     .run = {library_write, file_write},
     .upstream = "1.9 s"},
    {.group = FILES,
     .name = "write in 1 MiB, fsync off",
     .driver = "filesystem",
     .writes = true,
     SIZES,
     .no_fsync = true,
     .piece = MIB,
     .setup = file_setup,
     .run = {library_write, file_write}},
    {.group = FILES,
     .name = "read in 64 KiB",
     .driver = "filesystem",
     .writes = true,
     SIZES,
     .piece = 64 * KIB,
     .setup = file_fill,
     .run = {library_read, file_floor_read},
     .upstream = "0.10 s"},
    {.group = FILES,
     .name = "read in 1 MiB",
     .driver = "filesystem",
     .writes = true,
     SIZES,
     .piece = MIB,
     .setup = file_fill,
     .run = {library_read, file_floor_read},
     .upstream = "0.06 s"},
    {0},
};
