/* Small objects: what a call costs by itself, and what the file system adds. */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOB                                                                               \
    "/docker/registry/v2/blobs/sha256/ab/"                                                 \
    "ab5a5bbd7c3a3d1c6b1f2d0f7c0c8b2d4a6e8f1029384756afbecd1234567890"
#define DATA BLOB "/data"

/* ---- in memory ---- */

static void memory_setup(struct env *env, enum side side)
{
    if (side == LIBRARY)
        CHECK(sd_put_content(env->driver, NULL, DATA, env->data, BLOCK, &err));
    else
        memory_put(DATA, env->data, BLOCK);
}

static void library_stat(struct env *env, enum side side)
{
    (void)side;
    for (size_t i = 0; i < env->ops; i++) {
        sd_file_info *info = NULL;
        CHECK(sd_stat(env->driver, NULL, DATA, &info, &err));
        if (info->size != BLOCK)
            die("wrong size");
        sd_file_info_free(info);
    }
}

static void library_get(struct env *env, enum side side)
{
    (void)side;
    for (size_t i = 0; i < env->ops; i++) {
        sd_buffer *buffer = NULL;
        CHECK(sd_get_content(env->driver, NULL, DATA, &buffer, &err));
        if (sd_buffer_len(buffer) != BLOCK || sd_buffer_data(buffer)[7] != env->data[7])
            die("wrong content");
        sd_buffer_free(buffer);
    }
}

static void library_put(struct env *env, enum side side)
{
    (void)side;
    for (size_t i = 0; i < env->ops; i++)
        CHECK(sd_put_content(env->driver, NULL, DATA, env->data, BLOCK, &err));
}

static void memory_floor_stat(struct env *env, enum side side)
{
    (void)side;
    for (size_t i = 0; i < env->ops; i++)
        if (memory_stat(DATA) != BLOCK)
            die("wrong size");
}

static void memory_floor_get(struct env *env, enum side side)
{
    (void)side;
    for (size_t i = 0; i < env->ops; i++) {
        size_t len;
        uint8_t *data = memory_get(DATA, &len);
        if (len != BLOCK || data[7] != env->data[7])
            die("wrong content");
        free(data);
    }
}

static void memory_floor_put(struct env *env, enum side side)
{
    (void)side;
    for (size_t i = 0; i < env->ops; i++)
        memory_put(DATA, env->data, BLOCK);
}

/* ---- in files ---- */

static void file_setup(struct env *env, enum side side)
{
    write_file(env->roots[side], DATA, env->data, BLOCK);
}

static void file_floor_stat(struct env *env, enum side side)
{
    for (size_t i = 0; i < env->ops; i++)
        floor_stat(env->root_fds[side], DATA, side == FLOOR);
}

static void file_floor_get(struct env *env, enum side side)
{
    for (size_t i = 0; i < env->ops; i++) {
        size_t len;
        uint8_t *data = floor_get(env->root_fds[side], DATA, &len, side == FLOOR);
        if (len != BLOCK || data[7] != env->data[7])
            die("wrong content");
        free(data);
    }
}

static void put_setup(struct env *env, enum side side)
{
    write_file(env->roots[side], DATA, env->data, BLOCK);
    env_paths(env, BLOB "/new-%06zu");
    /* Warm: the library has synced and swept the directory once. */
    if (side == LIBRARY)
        CHECK(sd_put_content(env->driver, NULL, DATA, env->data, BLOCK, &err));
}

/* Takes the files of the last sample away. */
static void put_reset(struct env *env, enum side side)
{
    for (size_t i = 0; i < env->ops; i++)
        unlinkat(env->root_fds[side], env->paths[i] + 1, 0);
}

static void library_put_new(struct env *env, enum side side)
{
    (void)side;
    for (size_t i = 0; i < env->ops; i++)
        CHECK(sd_put_content(env->driver, NULL, env->paths[i], env->data, BLOCK, &err));
}

static void file_floor_put(struct env *env, enum side side)
{
    for (size_t i = 0; i < env->ops; i++)
        if (side == FLOOR)
            floor_put(env->root_fds[side], env->paths[i], env->data, BLOCK,
                      !env->work->no_fsync);
        else
            plain_put(env->roots[side], env->paths[i], env->data, BLOCK,
                      !env->work->no_fsync);
}

static void file_floor_over(struct env *env, enum side side)
{
    for (size_t i = 0; i < env->ops; i++)
        if (side == FLOOR)
            floor_overwrite(env->root_fds[side], DATA, env->data, BLOCK,
                            !env->work->no_fsync);
        else
            plain_put(env->roots[side], DATA, env->data, BLOCK, !env->work->no_fsync);
}

#define MEMORY "Call overhead: inmemory, 4 KiB"
#define FILES  "filesystem, 4 KiB, six directories down"

const struct bench_case small_cases[] = {
    {.group = MEMORY,
     .name = "stat",
     .driver = "inmemory",
     .ops = 100000,
     .quick_ops = 2000,
     .setup = memory_setup,
     .run = {library_stat, memory_floor_stat},
     .upstream = "1.6 us",
     .max_ns = 1000},
    {.group = MEMORY,
     .name = "get",
     .driver = "inmemory",
     .ops = 100000,
     .quick_ops = 2000,
     .setup = memory_setup,
     .run = {library_get, memory_floor_get},
     .upstream = "6.5 us",
     .max_ns = 1000},
    {.group = MEMORY,
     .name = "put",
     .driver = "inmemory",
     .ops = 100000,
     .quick_ops = 2000,
     .setup = memory_setup,
     .run = {library_put, memory_floor_put},
     .upstream = "6.2 us"},
    {.group = FILES,
     .name = "get",
     .driver = "filesystem",
     .ops = 20000,
     .quick_ops = 500,
     .setup = file_setup,
     .run = {library_get, file_floor_get, file_floor_get},
     .upstream = "21 us",
     .max_ratio = 1.25},
    {.group = FILES,
     .name = "stat",
     .driver = "filesystem",
     .ops = 20000,
     .quick_ops = 500,
     .setup = file_setup,
     .run = {library_stat, file_floor_stat, file_floor_stat},
     .upstream = "4.0 us",
     .max_ratio = 1.25},
    {.group = FILES,
     .name = "put, new",
     .driver = "filesystem",
     .writes = true,
     .ops = 100,
     .quick_ops = 10,
     .setup = put_setup,
     .reset = put_reset,
     .run = {library_put_new, file_floor_put, file_floor_put},
     .upstream = "340-740 us",
     .max_ratio = 1.25},
    {.group = FILES,
     .name = "put, over a file",
     .driver = "filesystem",
     .writes = true,
     .ops = 100,
     .quick_ops = 10,
     .setup = put_setup,
     .run = {library_put, file_floor_over, file_floor_over},
     .max_ratio = 1.25},
    {.group = FILES,
     .name = "put, new, fsync off",
     .driver = "filesystem",
     .writes = true,
     .no_fsync = true,
     .ops = 1000,
     .quick_ops = 100,
     .setup = put_setup,
     .reset = put_reset,
     .run = {library_put_new, file_floor_put, file_floor_put},
     .max_ratio = 1.25},
    {.group = FILES,
     .name = "put, over a file, fsync off",
     .driver = "filesystem",
     .writes = true,
     .no_fsync = true,
     .ops = 1000,
     .quick_ops = 100,
     .setup = put_setup,
     .run = {library_put, file_floor_over, file_floor_over},
     .max_ratio = 1.25},
    {0},
};
