/* A store in memory in plain C: a tree of paths under a lock, content in chunks. */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct object {
    char *path;
    uint8_t *data;
    size_t len;
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static void *tree;

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct object *)a)->path, ((const struct object *)b)->path);
}

static struct object *find(const char *path)
{
    struct object key = {.path = (char *)(uintptr_t)path};
    struct object **found = tfind(&key, &tree, by_path);
    if (!found)
        die("floor: no %s", path);
    return *found;
}

void memory_put(const char *path, const void *data, size_t len)
{
    struct object *object = malloc(sizeof *object);
    object->path = strdup(path);
    object->data = malloc(len);
    object->len = len;
    memcpy(object->data, data, len);
    pthread_rwlock_wrlock(&lock);
    struct object **found = tsearch(object, &tree, by_path);
    struct object *old = *found == object ? NULL : *found;
    *found = object;
    pthread_rwlock_unlock(&lock);
    if (old) {
        free(old->path);
        free(old->data);
        free(old);
    }
}

struct answer {
    char *path;
    size_t size;
};

size_t memory_stat(const char *path)
{
    pthread_rwlock_rdlock(&lock);
    size_t size = find(path)->len;
    pthread_rwlock_unlock(&lock);
    struct answer *volatile answer = malloc(sizeof *answer);
    answer->path = strdup(path);
    answer->size = size;
    free(answer->path);
    free(answer);
    return size;
}

uint8_t *memory_get(const char *path, size_t *len)
{
    pthread_rwlock_rdlock(&lock);
    struct object *object = find(path);
    uint8_t *copy = malloc(object->len + 1);
    memcpy(copy, object->data, object->len);
    copy[object->len] = 0;
    *len = object->len;
    pthread_rwlock_unlock(&lock);
    return copy;
}

/* One stream, in chunks of a mebibyte. */
static uint8_t **chunks;
static size_t stream_len;

void memory_append(const void *data, size_t len)
{
    while (len > 0) {
        size_t at = stream_len % MIB, now = len < MIB - at ? len : MIB - at;
        if (at == 0) {
            chunks = realloc(chunks, (stream_len / MIB + 1) * sizeof *chunks);
            chunks[stream_len / MIB] = malloc(MIB);
        }
        memcpy(chunks[stream_len / MIB] + at, data, now);
        stream_len += now;
        data = (const uint8_t *)data + now;
        len -= now;
    }
}

size_t memory_read(size_t offset, void *buf, size_t cap)
{
    size_t filled = 0;
    while (filled < cap && offset < stream_len) {
        size_t at = offset % MIB, now = MIB - at;
        now = now < cap - filled ? now : cap - filled;
        now = now < stream_len - offset ? now : stream_len - offset;
        memcpy((uint8_t *)buf + filled, chunks[offset / MIB] + at, now);
        filled += now;
        offset += now;
    }
    return filled;
}

void memory_clear(void)
{
    for (size_t i = 0; i * MIB < stream_len; i++)
        free(chunks[i]);
    free(chunks);
    chunks = NULL;
    stream_len = 0;
}
