/* Scratch directories, drivers and data for the cases. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char *const SIDE_NAMES[SIDES] = {"library", "floor", "plain"};

static void open_driver(struct env *env)
{
    sd_params *params = sd_params_new();
    if (env->dir) {
        check(sd_params_set_string(params, "rootdirectory", env->roots[LIBRARY]), NULL,
              "root");
        if (env->work->no_fsync)
            check(sd_params_set_bool(params, "fsync", 0), NULL, "fsync");
    }
    sd_error *err = NULL;
    check(sd_factory_create(env->work->driver, NULL, params, &env->driver, &err), err,
          "sd_factory_create");
    sd_params_free(params);
}

void env_open(struct env *env, const struct bench_case *work, const char *dir, size_t scale,
              bool quick)
{
    memset(env, 0, sizeof *env);
    env->work = work;
    env->dir = dir;
    env->scale = scale;
    env->ops = quick ? work->quick_ops : work->ops;
    env->data = malloc(MIB);
    for (size_t i = 0; i < MIB; i++)
        env->data[i] = (uint8_t)(i * 7 + i / 251 + 1);
    for (int side = 0; dir && side < SIDES; side++) {
        const char *name = SIDE_NAMES[work->writes ? side : LIBRARY];
        snprintf(env->roots[side], sizeof env->roots[side], "%s/%s", dir, name);
        if (mkdir(env->roots[side], 0777) != 0 && errno != EEXIST)
            die("%s: %s", env->roots[side], strerror(errno));
        env->root_fds[side] = open(env->roots[side], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    open_driver(env);
}

void env_close(struct env *env)
{
    sd_driver_free(env->driver);
    for (size_t i = 0; env->paths && i < env->ops; i++)
        free(env->paths[i]);
    free(env->paths);
    free(env->data);
    memory_clear();
    for (int side = 0; env->dir && side < SIDES; side++) {
        close(env->root_fds[side]);
        remove_tree(env->roots[side]);
    }
}

/* A path for each operation; `format` takes its number. */
void env_paths(struct env *env, const char *format)
{
    if (env->paths)
        return;
    env->paths = calloc(env->ops, sizeof *env->paths);
    for (size_t i = 0; i < env->ops; i++) {
        char path[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(path, sizeof path, format, i);
#pragma GCC diagnostic pop
        env->paths[i] = strdup(path);
    }
}

void make_parents(const char *root, const char *path)
{
    char full[1024];
    size_t start = (size_t)snprintf(full, sizeof full, "%s", root);
    snprintf(full + start, sizeof full - start, "%s", path);
    for (char *slash = full + start + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        if (mkdir(full, 0777) != 0 && errno != EEXIST)
            die("%s: %s", full, strerror(errno));
        *slash = '/';
    }
}

/* A file that must exist before anything is measured. */
void write_file(const char *root, const char *path, const void *data, size_t len)
{
    char full[1024];
    snprintf(full, sizeof full, "%s%s", root, path);
    int file = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0 && errno == ENOENT) {
        make_parents(root, path);
        file = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    }
    if (file < 0 || write(file, data, len) != (ssize_t)len)
        die("%s: %s", full, strerror(errno));
    close(file);
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *walk)
{
    (void)stat, (void)kind, (void)walk;
    return remove(path);
}

void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *file_system(const char *dir)
{
    struct statfs found;
    if (statfs(dir, &found) != 0)
        return "?";
    switch ((unsigned long)found.f_type) {
    case EXT4_SUPER_MAGIC: return "ext4";
    case TMPFS_MAGIC: return "tmpfs";
    case XFS_SUPER_MAGIC: return "xfs";
    case BTRFS_SUPER_MAGIC: return "btrfs";
    case OVERLAYFS_SUPER_MAGIC: return "overlayfs";
    case F2FS_SUPER_MAGIC: return "f2fs";
    case NFS_SUPER_MAGIC: return "nfs";
    default: return "another";
    }
}
