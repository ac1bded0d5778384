/* Uploads. All their state lies in the store: the bytes are an uncommitted
 * writer, the offset is its size. So any process can go on with an upload, after
 * a restart as well, and its URL holds nothing but the repository and a uuid.
 *
 * The digest is checked at the end, by reading the stored bytes back: that costs
 * one read, keeps no hash state, and proves what was stored rather than what was
 * received. */
#include "registry.h"

#include <inttypes.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

/* ---- one request at a time per upload ---------------------------------- */

static pthread_mutex_t busy_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t busy_less = PTHREAD_COND_INITIALIZER;
static struct request *busy_list;

static bool is_busy(const char *uuid)
{
    const struct request *other = busy_list;
    while (other != NULL && strcmp(other->ref, uuid) != 0)
        other = other->next_busy;
    return other != NULL;
}

/* Waits a second at most: long enough for a status request to pass, or for the
 * end of a connection that its client has given up. */
static bool claim(struct request *rq)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec++;
    pthread_mutex_lock(&busy_lock);
    while (is_busy(rq->ref) && pthread_cond_timedwait(&busy_less, &busy_lock, &limit) == 0)
        ;
    if (!is_busy(rq->ref)) {
        rq->busy = true;
        rq->next_busy = busy_list;
        busy_list = rq;
    }
    pthread_mutex_unlock(&busy_lock);
    return rq->busy;
}

static void release(struct request *rq)
{
    if (!rq->busy)
        return;
    pthread_mutex_lock(&busy_lock);
    struct request **link = &busy_list;
    while (*link != rq)
        link = &(*link)->next_busy;
    *link = rq->next_busy;
    pthread_cond_broadcast(&busy_less);
    pthread_mutex_unlock(&busy_lock);
    rq->busy = false;
}

/* ---- helpers ------------------------------------------------------------ */

static void set_new_uuid(struct request *rq)
{
    uint8_t r[16];
    if (getentropy(r, sizeof r) != 0)
        abort(); /* no kernel since 3.17 fails here */
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    char *out = rq->ref;
    for (size_t i = 0; i < sizeof r; i++)
        out += sprintf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", r[i]);
}

/* Location, uuid and Range of the upload, `size` bytes of which are stored. */
static void add_upload_headers(struct request *rq, uint64_t size)
{
    reply_header(rq, MHD_HTTP_HEADER_LOCATION, "/v2/%s/blobs/uploads/%s", rq->name,
                 rq->ref);
    reply_header(rq, "Docker-Upload-UUID", "%s", rq->ref);
    reply_header(rq, MHD_HTTP_HEADER_RANGE, "0-%llu",
                 (unsigned long long)(size ? size - 1 : 0));
}

static void reply_created(struct request *rq, const char *digest)
{
    reply_empty(rq, 201);
    reply_header(rq, MHD_HTTP_HEADER_LOCATION, "/v2/%s/blobs/%s", rq->name, digest);
    reply_header(rq, "Docker-Content-Digest", "%s", digest);
}

/* Make what was written durable and let the upload rest. */
static bool suspend(struct request *rq, sd_error **err)
{
    sd_status rc = sd_writer_close(rq->writer, NULL, err);
    sd_writer_free(rq->writer);
    rq->writer = NULL;
    release(rq);
    return rc == SD_OK;
}

void upload_abandon(struct request *rq)
{
    sd_error *err = NULL;
    if (rq->writer != NULL && !suspend(rq, &err))
        warn_store("keeping an interrupted upload", err);
    release(rq);
}

static void refuse(struct request *rq, sd_error *err, enum error_code missing)
{
    upload_abandon(rq);
    fail_store(rq, err, missing);
}

/* Take the upload for this request and open it at its end; false: replied. */
static bool resume(struct request *rq)
{
    struct path data = path_upload(rq->name, rq->ref, "/data");
    sd_error *err = NULL;
    if (!claim(rq)) {
        fail_with(rq, 409, BLOB_UPLOAD_INVALID, "another request is writing to this upload",
                  NULL);
        return false;
    }
    if (sd_writer_open(store, NULL, data.s, SD_WRITER_APPEND, &rq->writer, &err) == SD_OK)
        return true;
    refuse(rq, err, BLOB_UPLOAD_UNKNOWN);
    return false;
}

/* Content-Range is "first-last" and must go on where the upload stands; false:
 * replied. */
static bool fits(struct request *rq)
{
    const char *range = http_header(rq, MHD_HTTP_HEADER_CONTENT_RANGE);
    uint64_t first = 0, last = 0, length, size = sd_writer_size(rq->writer);
    int end = 0;
    if (range == NULL)
        return true;
    if (sscanf(range, "%18" SCNu64 "-%18" SCNu64 "%n", &first, &last, &end) != 2 ||
        range[end] != '\0' || last < first) {
        upload_abandon(rq);
        fail(rq, BLOB_UPLOAD_INVALID, "Content-Range is not <first>-<last>");
    } else if (http_body_length(rq, &length) && length != last - first + 1) {
        upload_abandon(rq);
        fail(rq, SIZE_INVALID, "Content-Range and Content-Length disagree");
    } else if (first != size) {
        upload_abandon(rq);
        fail_with(rq, 416, BLOB_UPLOAD_INVALID,
                  "the range does not start where the upload ends",
                  json_pack("{s:I}", "offset", (json_int_t)size));
        add_upload_headers(rq, size);
    }
    return rq->response == NULL;
}

static void write_body(struct request *rq, const char *data, size_t len)
{
    sd_error *err = NULL;
    if (sd_writer_write(rq->writer, data, len, &err) != SD_OK)
        refuse(rq, err, BLOB_UPLOAD_UNKNOWN);
}

/* ---- POST: start, mount, or all at once ---------------------------------- */

/* Link a blob that repository `from` already has; false: it does not. */
static bool mount(struct request *rq, const char *from, const char *digest)
{
    struct path path;
    uint64_t size;
    sd_error *err = NULL;
    if (!name_valid(from) || !digest_valid(digest))
        return false;
    if (blob_find(from, digest, &path, &size, &err) != SD_OK) {
        sd_error_free(err); /* whatever it was: an ordinary upload still works */
        return false;
    }
    if (link_write(path_layer(rq->name, digest), digest, &err) != SD_OK)
        fail_store(rq, err, NAME_UNKNOWN);
    else
        reply_created(rq, digest);
    return true;
}

static bool write_startedat(struct request *rq, sd_error **err)
{
    char text[32];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return sd_put_content(store, NULL, path_upload(rq->name, rq->ref, "/startedat").s, text,
                          len, err) == SD_OK;
}

static void finish(struct request *rq);

void upload_start(struct request *rq)
{
    const char *digest = http_query(rq, "digest");
    const char *mounted = http_query(rq, "mount"), *from = http_query(rq, "from");
    sd_error *err = NULL;
    if (mounted != NULL && from != NULL && mount(rq, from, mounted))
        return;
    if (digest != NULL && !digest_valid(digest)) {
        fail(rq, DIGEST_INVALID, NULL);
        return;
    }
    set_new_uuid(rq);
    claim(rq); /* nobody else knows this uuid */
    struct path data = path_upload(rq->name, rq->ref, "/data");
    if (!write_startedat(rq, &err) ||
        sd_writer_open(store, NULL, data.s, 0, &rq->writer, &err) != SD_OK) {
        refuse(rq, err, NAME_UNKNOWN);
        return;
    }
    if (digest != NULL) {
        memcpy(rq->digest, digest, DIGEST_LEN);
        rq->on_body = write_body;
        rq->on_end = finish;
    } else if (suspend(rq, &err)) {
        reply_empty(rq, 202);
        add_upload_headers(rq, 0);
    } else {
        fail_store(rq, err, NAME_UNKNOWN);
    }
}

/* ---- GET, PATCH, DELETE --------------------------------------------------- */

void upload_status(struct request *rq)
{
    sd_error *err = NULL;
    if (!resume(rq))
        return;
    uint64_t size = sd_writer_size(rq->writer);
    if (!suspend(rq, &err)) {
        fail_store(rq, err, BLOB_UPLOAD_UNKNOWN);
        return;
    }
    reply_empty(rq, 204);
    add_upload_headers(rq, size);
}

static void patch_end(struct request *rq)
{
    uint64_t size = sd_writer_size(rq->writer);
    sd_error *err = NULL;
    if (!suspend(rq, &err)) {
        fail_store(rq, err, BLOB_UPLOAD_UNKNOWN);
        return;
    }
    reply_empty(rq, 202);
    add_upload_headers(rq, size);
}

void upload_patch(struct request *rq)
{
    if (resume(rq) && fits(rq)) {
        rq->on_body = write_body;
        rq->on_end = patch_end;
    }
}

void upload_delete(struct request *rq)
{
    sd_error *err = NULL;
    if (!resume(rq))
        return;
    /* Cancel frees what the back end holds for the upload, delete the rest. */
    sd_status rc = sd_writer_cancel(rq->writer, NULL, &err);
    if (rc == SD_OK)
        rc = sd_delete(store, NULL, path_upload(rq->name, rq->ref, "").s, &err);
    if (rc != SD_OK)
        refuse(rq, err, BLOB_UPLOAD_UNKNOWN);
    else
        reply_empty(rq, 204);
    upload_abandon(rq);
}

/* ---- PUT: the end of an upload --------------------------------------------- */

static void remove_upload(struct request *rq)
{
    sd_error *err = NULL;
    if (sd_delete(store, NULL, path_upload(rq->name, rq->ref, "").s, &err) != SD_OK)
        warn_store("removing a finished upload", err);
}

/* Move the verified bytes to their place, unless they are there already, and
 * link them into the repository. */
static sd_status publish(struct request *rq, struct path data, sd_error **err)
{
    struct path blob = path_blob(rq->digest);
    bool whole = false;
    sd_status rc = blob_whole(blob, sd_writer_size(rq->writer), &whole, err);
    if (rc == SD_OK && !whole)
        rc = sd_move(store, NULL, data.s, blob.s, err);
    if (rc == SD_OK)
        rc = link_write(path_layer(rq->name, rq->digest), rq->digest, err);
    return rc;
}

static void finish(struct request *rq)
{
    char found[DIGEST_LEN + 1];
    struct path data = path_upload(rq->name, rq->ref, "/data");
    sd_error *err = NULL;
    if (sd_writer_commit(rq->writer, NULL, &err) != SD_OK ||
        digest_stored(data.s, found, &err) != SD_OK) {
        refuse(rq, err, BLOB_UPLOAD_UNKNOWN);
        return;
    }
    if (strcmp(found, rq->digest) != 0) {
        remove_upload(rq);
        fail_with(rq, 0, DIGEST_INVALID, "the content has another digest",
                  json_pack("{s:s}", "digest", found));
    } else if (publish(rq, data, &err) != SD_OK) {
        fail_store(rq, err, BLOB_UPLOAD_UNKNOWN);
    } else {
        remove_upload(rq);
        reply_created(rq, rq->digest);
    }
    upload_abandon(rq);
}

void upload_put(struct request *rq)
{
    const char *digest = http_query(rq, "digest");
    if (digest == NULL || !digest_valid(digest)) {
        fail(rq, DIGEST_INVALID, NULL);
        return;
    }
    memcpy(rq->digest, digest, DIGEST_LEN);
    if (resume(rq) && fits(rq)) {
        rq->on_body = write_body;
        rq->on_end = finish;
    }
}
