/* Where things lie: the layout of the Distribution registry, so that either can
 * serve and continue what the other stored.
 *
 *   blobs/sha256/<two>/<hex>/data                            bytes, by content
 *   repositories/<name>/_layers/sha256/<hex>/link            blobs of a repository
 *   repositories/<name>/_manifests/revisions/sha256/<hex>/link
 *   repositories/<name>/_manifests/tags/<tag>/current/link
 *   repositories/<name>/_manifests/tags/<tag>/index/sha256/<hex>/link
 *   repositories/<name>/_uploads/<uuid>/{data,startedat}
 *
 * A link is a file that holds a digest as text. */
#include "registry.h"

#include <stdarg.h>
#include <time.h>

#define ROOT "/docker/registry/v2"
/* A Go registry that writes a link over does so in place: for a moment it is short. */
#define LINK_TRIES 400 /* of 5 ms */

/* The grammar limits every part, so that no path is ever cut here. */
static struct path make(const char *format, ...) __attribute__((format(printf, 1, 2)));
static struct path make(const char *format, ...)
{
    struct path path;
    va_list args;
    va_start(args, format);
    vsnprintf(path.s, sizeof path.s, format, args);
    va_end(args);
    return path;
}

static const char *hex_of(const char *digest)
{
    return digest + strlen("sha256:");
}

struct path path_repositories(void)
{
    return make(ROOT "/repositories");
}

struct path path_repository(const char *name, const char *below)
{
    return make(ROOT "/repositories/%s%s", name, below);
}

struct path path_blob(const char *digest)
{
    return make(ROOT "/blobs/sha256/%.2s/%s/data", hex_of(digest), hex_of(digest));
}

struct path path_layer(const char *name, const char *digest)
{
    return make(ROOT "/repositories/%s/_layers/sha256/%s", name, hex_of(digest));
}

struct path path_revision(const char *name, const char *digest)
{
    return make(ROOT "/repositories/%s/_manifests/revisions/sha256/%s", name,
                hex_of(digest));
}

struct path path_tag(const char *name, const char *tag, const char *below)
{
    return make(ROOT "/repositories/%s/_manifests/tags/%s%s", name, tag, below);
}

struct path path_upload(const char *name, const char *uuid, const char *below)
{
    return make(ROOT "/repositories/%s/_uploads/%s%s", name, uuid, below);
}

static sd_status find(struct path path, bool *yes, uint64_t *size, sd_error **err)
{
    sd_file_info *info = NULL;
    sd_error *why = NULL;
    sd_status rc = sd_stat(store, NULL, path.s, &info, &why);
    *yes = rc == SD_OK;
    if (rc == SD_ERR_PATH_NOT_FOUND) {
        sd_error_free(why);
        return SD_OK;
    }
    if (rc != SD_OK)
        *err = why;
    else
        *size = info->size;
    sd_file_info_free(info);
    return rc;
}

sd_status path_exists(struct path path, bool *yes, sd_error **err)
{
    uint64_t size;
    return find(path, yes, &size, err);
}

/* A Go registry that is killed in the middle of writing a manifest leaves its
 * beginning: present, but of another size than its digest has. */
sd_status blob_whole(struct path path, uint64_t size, bool *yes, sd_error **err)
{
    uint64_t stored = 0;
    sd_status rc = find(path, yes, &stored, err);
    *yes = *yes && stored == size;
    return rc;
}

static struct path link_in(struct path dir)
{
    return make("%.*s/link", (int)sizeof dir.s - 6, dir.s);
}

sd_status link_read(struct path dir, char digest[DIGEST_LEN + 1], sd_error **err)
{
    const struct timespec wait = {.tv_nsec = 5000000};
    struct path path = link_in(dir);
    bool cut = true;
    for (int tries = 0; cut && tries < LINK_TRIES; tries++) {
        sd_buffer *text = NULL;
        if (tries > 0)
            nanosleep(&wait, NULL);
        sd_status rc = sd_get_content(store, NULL, path.s, &text, err);
        if (rc != SD_OK)
            return rc;
        const char *found = (const char *)sd_buffer_data(text);
        bool valid = digest_valid(found);
        if (valid)
            memcpy(digest, found, DIGEST_LEN + 1);
        cut = sd_buffer_len(text) < DIGEST_LEN;
        sd_buffer_free(text);
        if (valid)
            return SD_OK;
    }
    *err = sd_error_new(SD_ERR_CORRUPT, "link does not hold a sha256 digest");
    sd_error_set_path(*err, path.s);
    return SD_ERR_CORRUPT;
}

/* The link alone: its directory stays, as Distribution leaves it. */
sd_status link_delete(struct path dir, sd_error **err)
{
    return sd_delete(store, NULL, link_in(dir).s, err);
}

sd_status link_write(struct path dir, const char *digest, sd_error **err)
{
    return sd_put_content(store, NULL, link_in(dir).s, digest, DIGEST_LEN, err);
}

sd_status blob_find(const char *name, const char *digest, struct path *path, uint64_t *size,
                    sd_error **err)
{
    char target[DIGEST_LEN + 1];
    sd_status rc = link_read(path_layer(name, digest), target, err);
    if (rc != SD_OK)
        return rc;
    sd_file_info *info = NULL;
    *path = path_blob(target);
    rc = sd_stat(store, NULL, path->s, &info, err);
    if (rc == SD_OK)
        *size = info->size;
    sd_file_info_free(info);
    return rc;
}
