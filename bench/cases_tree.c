/* Listing, walking and deleting; and how every cost grows with the size. */
#define _GNU_SOURCE
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOP "/docker/registry/v2/blobs"
enum { PER_DIRECTORY = 10 };

/* ---- what is listed ---- */

static void entry_path(char path[256], size_t n, bool flat)
{
    if (flat)
        snprintf(path, 256, TOP "/name-%08zu", n * 7919 % 1000003);
    else
        snprintf(path, 256, TOP "/directory-%05zu/name-%02zu", n / PER_DIRECTORY,
                 n % PER_DIRECTORY);
}

static void fill(struct env *env, enum side side, bool flat)
{
    char path[256];
    for (size_t n = 0; n < env->scale; n++) {
        entry_path(path, n, flat);
        if (env->dir)
            write_file(env->roots[side], path, "x", 1);
        else
            CHECK(sd_put_content(env->driver, NULL, path, "x", 1, &err));
    }
}

static void flat(struct env *env, enum side side)
{
    /* What only reads finds the same tree on every side. */
    if (side == LIBRARY)
        fill(env, side, true);
}

static void nested(struct env *env, enum side side)
{
    if (side == LIBRARY)
        fill(env, side, false);
}

static void refill(struct env *env, enum side side)
{
    fill(env, side, false);
}

static void nothing(struct env *env, enum side side)
{
    (void)env, (void)side;
}

/* ---- the library ---- */

static void library_list(struct env *env, enum side side)
{
    (void)side;
    for (size_t i = 0; i < env->ops; i++) {
        sd_names *names = NULL;
        CHECK(sd_list(env->driver, NULL, TOP, &names, &err));
        size_t count = sd_names_count(names);
        for (size_t n = 0; n < count; n++)
            if (sd_names_get(names, n)[0] != '/')
                die("wrong name");
        if (count != env->scale)
            die("list: %zu names of %zu", count, env->scale);
        sd_names_free(names);
    }
}

static sd_status count_files(void *user, const sd_file_info *info)
{
    *(size_t *)user += !(info->flags & SD_INFO_DIR);
    return SD_OK;
}

static void library_walk(struct env *env, enum side side)
{
    (void)side;
    for (size_t i = 0; i < env->ops; i++) {
        size_t files = 0;
        CHECK(sd_walk(env->driver, NULL, TOP, NULL, count_files, &files, &err));
        if (files != env->scale)
            die("walk: %zu files of %zu", files, env->scale);
    }
}

static void library_delete(struct env *env, enum side side)
{
    (void)side;
    CHECK(sd_delete(env->driver, NULL, TOP, &err));
}

/* ---- the floor ---- */

struct list {
    char **names;
    size_t len, cap;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The full paths of one directory's entries, sorted. */
static struct list read_names(int directory, const char *path)
{
    struct list list = {0};
    DIR *stream = fdopendir(directory);
    size_t prefix = strlen(path);
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (entry->d_name[0] == '.')
            continue;
        if (list.len == list.cap) {
            list.cap = list.cap ? list.cap * 2 : 16;
            list.names = realloc(list.names, list.cap * sizeof *list.names);
        }
        size_t len = strlen(entry->d_name);
        char *full = list.names[list.len++] = malloc(prefix + len + 2);
        memcpy(full, path, prefix);
        full[prefix] = '/';
        memcpy(full + prefix + 1, entry->d_name, len + 1);
    }
    closedir(stream);
    qsort(list.names, list.len, sizeof *list.names, by_name);
    return list;
}

static void free_names(struct list *list)
{
    for (size_t i = 0; i < list->len; i++)
        free(list->names[i]);
    free(list->names);
}

static int open_directory(struct env *env, enum side side, const char *path)
{
    int directory = confined_open(env->root_fds[side], path, O_RDONLY | O_DIRECTORY);
    if (directory < 0)
        die("floor: %s: %s", path, strerror(errno));
    return directory;
}

static void floor_list(struct env *env, enum side side)
{
    for (size_t i = 0; i < env->ops; i++) {
        struct list list = read_names(open_directory(env, side, TOP), TOP);
        if (list.len != env->scale)
            die("floor: %zu names", list.len);
        free_names(&list);
    }
}

/* Nothing kept, nothing sorted. */
static void plain_list(struct env *env, enum side side)
{
    for (size_t i = 0; i < env->ops; i++) {
        DIR *stream = fdopendir(open_directory(env, side, TOP));
        size_t count = 0;
        while (readdir(stream))
            count++;
        closedir(stream);
        if (count != env->scale + 2)
            die("floor: %zu names", count);
    }
}

/* One pass over each directory in order, one stat for each entry. */
static size_t walk_below(struct env *env, enum side side, const char *path)
{
    size_t files = 0;
    int directory = open_directory(env, side, path);
    struct list list = read_names(dup(directory), path);
    size_t prefix = strlen(path) + 1;
    bool *is_dir = calloc(list.len + 1, 1);
    for (size_t n = 0; n < list.len; n++) {
        struct stat found;
        if (fstatat(directory, list.names[n] + prefix, &found, AT_SYMLINK_NOFOLLOW) != 0)
            die("floor: %s: %s", list.names[n], strerror(errno));
        is_dir[n] = S_ISDIR(found.st_mode);
    }
    close(directory);
    for (size_t n = 0; n < list.len; n++)
        files += is_dir[n] ? walk_below(env, side, list.names[n]) : 1;
    free(is_dir);
    free_names(&list);
    return files;
}

static void floor_walk(struct env *env, enum side side)
{
    for (size_t i = 0; i < env->ops; i++)
        if (walk_below(env, side, TOP) != env->scale)
            die("floor: walk");
}

static void delete_below(int directory)
{
    DIR *stream = fdopendir(directory);
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (entry->d_name[0] == '.')
            continue;
        if (entry->d_type == DT_DIR) {
            int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
            delete_below(openat(dirfd(stream), entry->d_name, flags));
        }
        if (unlinkat(dirfd(stream), entry->d_name,
                     entry->d_type == DT_DIR ? AT_REMOVEDIR : 0))
            die("floor: unlink: %s", strerror(errno));
    }
    closedir(stream);
}

static void floor_delete(struct env *env, enum side side)
{
    int parent = open_directory(env, side, "/docker/registry/v2");
    delete_below(openat(parent, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (unlinkat(parent, "blobs", AT_REMOVEDIR) != 0 || fsync(parent) != 0)
        die("floor: %s", strerror(errno));
    close(parent);
}

/* ---- growth of an upload ---- */

static void library_append(struct env *env, enum side side)
{
    (void)side;
    size_t pieces = env->scale / env->work->piece;
    sd_writer *writer = NULL;
    CHECK(sd_writer_open(env->driver, NULL, TOP, 0, &writer, &err));
    for (size_t i = 0; i < pieces; i++)
        CHECK(sd_writer_write(writer, env->data, env->work->piece, &err));
    CHECK(sd_writer_commit(writer, NULL, &err));
    sd_writer_free(writer);
}

/* A writer of its own for each piece, as a registry opens one for each request. */
static void library_resume(struct env *env, enum side side)
{
    (void)side;
    for (size_t left = env->scale; left > 0; left -= env->work->piece) {
        uint32_t flags = left == env->scale ? 0 : SD_WRITER_APPEND;
        sd_writer *writer = NULL;
        CHECK(sd_writer_open(env->driver, NULL, TOP, flags, &writer, &err));
        CHECK(sd_writer_write(writer, env->data, env->work->piece, &err));
        if (left == env->work->piece)
            CHECK(sd_writer_commit(writer, NULL, &err));
        CHECK(sd_writer_close(writer, NULL, &err));
        sd_writer_free(writer);
    }
}

#define TREE         "filesystem, trees"
#define GROW_MEMORY  "Growth: inmemory"
#define GROW_FILES   "Growth: filesystem"
#define TEN_THOUSAND .scales = {10000}, .quick_scales = {1000}
#define BYTES                                                                              \
    .ops = 1, .quick_ops = 1, .fresh = true, .scales = {64 * MIB, 256 * MIB, 1024 * MIB},  \
    .quick_scales = {2 * MIB, 8 * MIB, 32 * MIB}
#define ENTRIES .scales = {1000, 10000, 100000}, .quick_scales = {50, 200, 800}

const struct bench_case tree_cases[] = {
    {.group = TREE,
     .name = "list of 10",
     .driver = "filesystem",
     .scales = {10},
     .quick_scales = {10},
     .ops = 5000,
     .quick_ops = 200,
     .setup = flat,
     .run = {library_list, floor_list, plain_list},
     .max_ratio = 1.25},
    {.group = TREE,
     .name = "list of 10,000",
     .driver = "filesystem",
     TEN_THOUSAND,
     .ops = 10,
     .quick_ops = 2,
     .setup = flat,
     .run = {library_list, floor_list, plain_list},
     .upstream = "4.7 ms",
     .max_ns = 4.7e6},
    {.group = TREE,
     .name = "walk of 10,000 in 1,000 directories",
     .driver = "filesystem",
     TEN_THOUSAND,
     .ops = 4,
     .quick_ops = 1,
     .setup = nested,
     .run = {library_walk, floor_walk},
     .upstream = "46 ms",
     .max_ns = 46e6},
    {.group = TREE,
     .name = "delete of that tree",
     .driver = "filesystem",
     TEN_THOUSAND,
     .writes = true,
     .ops = 1,
     .quick_ops = 1,
     .setup = nothing,
     .reset = refill,
     .run = {library_delete, floor_delete},
     .upstream = "0.64 s",
     .max_ns = 640e6},
    {0},
};

const struct bench_case growth_cases[] = {
    {.group = GROW_MEMORY,
     .name = "write in 64 KiB, one writer",
     .driver = "inmemory",
     BYTES,
     .piece = 64 * KIB,
     .setup = nothing,
     .run = {library_append}},
    {.group = GROW_MEMORY,
     .name = "append in 64 KiB, a writer each",
     .driver = "inmemory",
     BYTES,
     .piece = 64 * KIB,
     .setup = nothing,
     .run = {library_resume}},
    {.group = GROW_MEMORY,
     .name = "list, entries",
     .driver = "inmemory",
     ENTRIES,
     .ops = 1,
     .quick_ops = 1,
     .setup = flat,
     .run = {library_list}},
    {.group = GROW_MEMORY,
     .name = "walk, files",
     .driver = "inmemory",
     ENTRIES,
     .ops = 1,
     .quick_ops = 1,
     .setup = nested,
     .run = {library_walk}},
    {.group = GROW_MEMORY,
     .name = "delete, files",
     .driver = "inmemory",
     ENTRIES,
     .ops = 1,
     .quick_ops = 1,
     .setup = nothing,
     .reset = refill,
     .run = {library_delete}},
    {.group = GROW_FILES,
     .name = "list, entries",
     .driver = "filesystem",
     ENTRIES,
     .ops = 1,
     .quick_ops = 1,
     .setup = flat,
     .run = {library_list, floor_list}},
    {.group = GROW_FILES,
     .name = "walk, files",
     .driver = "filesystem",
     ENTRIES,
     .ops = 1,
     .quick_ops = 1,
     .setup = nested,
     .run = {library_walk, floor_walk}},
    {.group = GROW_FILES,
     .name = "delete, files",
     .driver = "filesystem",
     .writes = true,
     ENTRIES,
     .ops = 1,
     .quick_ops = 1,
     .setup = nothing,
     .reset = refill,
     .run = {library_delete, floor_delete}},
    {0},
};
