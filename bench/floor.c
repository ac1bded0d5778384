/* What the filesystem driver does, written in C with nothing around it. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void need(bool done, const char *what)
{
    if (!done)
        die("floor: %s: %s", what, strerror(errno));
}

/* `path` begins with a slash. */
int confined_open(int root, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    const char *relative = path[1] ? path + 1 : ".";
    return (int)syscall(SYS_openat2, root, relative, &how, sizeof how);
}

static int open_at(int root, const char *path, int flags, bool confined)
{
    return confined ? confined_open(root, path, flags)
                    : openat(root, path + 1, flags | O_CLOEXEC);
}

/* A file as a copy of its own, one byte longer than it is. */
uint8_t *floor_get(int root, const char *path, size_t *len, bool confined)
{
    int file = open_at(root, path, O_RDONLY, confined);
    need(file >= 0, path);
    struct stat found;
    need(fstat(file, &found) == 0, "fstat");
    uint8_t *data = malloc((size_t)found.st_size + 1);
    ssize_t got = read(file, data, (size_t)found.st_size + 1);
    need(got == found.st_size, "read");
    close(file);
    data[got] = 0;
    *len = (size_t)got;
    return data;
}

struct answer {
    char *path;
    uint64_t size;
    int64_t mtime_ns;
};

/* Confined, the name must be opened: there is no stat with RESOLVE_BENEATH. */
void floor_stat(int root, const char *path, bool confined)
{
    struct stat found;
    if (confined) {
        int file = confined_open(root, path, O_PATH);
        need(file >= 0, path);
        need(fstat(file, &found) == 0, "fstat");
        close(file);
    } else {
        need(fstatat(root, path + 1, &found, 0) == 0, path);
    }
    struct answer *volatile answer = malloc(sizeof *answer);
    answer->path = strdup(path);
    answer->size = (uint64_t)found.st_size;
    answer->mtime_ns = (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec;
    free(answer->path);
    free(answer);
}

static const char *split(const char *path, char *parent)
{
    const char *name = strrchr(path, '/') + 1;
    size_t len = (size_t)(name - path) - 1;
    memcpy(parent, path, len);
    parent[len ? len : 1] = 0;
    if (len == 0)
        parent[0] = '/';
    return name;
}

static void write_and_sync(int file, const void *data, size_t len, bool fsync_it)
{
    need(write(file, data, len) == (ssize_t)len, "write");
    if (fsync_it)
        need(fsync(file) == 0, "fsync");
}

/* By descriptor where the kernel lets us, else through /proc. */
static int link_file(int file, int directory, const char *name)
{
    static bool by_proc;
    if (!by_proc) {
        int done = linkat(file, "", directory, name, AT_EMPTY_PATH);
        if (done == 0 || errno != ENOENT)
            return done;
        by_proc = true;
    }
    char own[64];
    snprintf(own, sizeof own, "/proc/self/fd/%d", file);
    return linkat(AT_FDCWD, own, directory, name, AT_SYMLINK_FOLLOW);
}

/* A nameless file is written, synced and linked; then its directory is synced. */
static void put(int root, const char *path, const void *data, size_t len, bool fsync_it,
                bool over)
{
    char parent[256];
    const char *name = split(path, parent);
    int directory = confined_open(root, parent, O_RDONLY | O_DIRECTORY);
    need(directory >= 0, parent);
    int file = openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    need(file >= 0, "O_TMPFILE");
    write_and_sync(file, data, len, fsync_it);
    if (link_file(file, directory, name) != 0) {
        need(over && errno == EEXIST, "linkat");
        static unsigned number;
        char hidden[64];
        snprintf(hidden, sizeof hidden, "~%08x", number++);
        need(link_file(file, directory, hidden) == 0, "linkat");
        need(renameat(directory, hidden, directory, name) == 0, "renameat");
    }
    if (fsync_it)
        need(fsync(directory) == 0, "fsync of the directory");
    close(file);
    close(directory);
}

void floor_put(int root, const char *path, const void *data, size_t len, bool fsync_it)
{
    put(root, path, data, len, fsync_it, false);
}

void floor_overwrite(int root, const char *path, const void *data, size_t len,
                     bool fsync_it)
{
    put(root, path, data, len, fsync_it, true);
}

/* As most programs do it: a temporary name, a rename, the directory synced. */
void plain_put(const char *root, const char *path, const void *data, size_t len,
               bool fsync_it)
{
    char full[1024], hidden[1040], parent[1024];
    snprintf(full, sizeof full, "%s%s", root, path);
    snprintf(hidden, sizeof hidden, "%s~", full);
    int file = open(hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    need(file >= 0, hidden);
    write_and_sync(file, data, len, fsync_it);
    close(file);
    need(rename(hidden, full) == 0, "rename");
    if (fsync_it) {
        split(full, parent);
        int directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        need(directory >= 0 && fsync(directory) == 0, "fsync of the directory");
        close(directory);
    }
}
