/* Blobs: served in pieces of BLOCK bytes, whatever their size. */
#include "registry.h"

static ssize_t next_block(void *cls, uint64_t pos, char *buf, size_t max)
{
    size_t len = 0;
    sd_error *err = NULL;
    (void)pos;
    if (sd_reader_read(cls, buf, max, &len, &err) != SD_OK) {
        warn_store("reading a blob", err);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    /* libmicrohttpd stops at the announced length by itself. */
    return len > 0 ? (ssize_t)len : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void close_reader(void *cls)
{
    sd_reader_free(cls);
}

enum range { WHOLE, PART, OUTSIDE };

/* "bytes=a-b", "bytes=a-" or "bytes=-n". Other forms, several ranges among them,
 * may be ignored, and are: the whole blob is a right answer to them. */
static enum range parse_range(const char *header, uint64_t size, uint64_t *first,
                              uint64_t *last)
{
    char text[64];
    uint64_t number;
    if (header == NULL || strncmp(header, "bytes=", 6) != 0 ||
        strlen(header) >= sizeof text)
        return WHOLE;
    strcpy(text, header + 6);
    char *dash = strchr(text, '-');
    if (dash == NULL)
        return WHOLE;
    *dash = '\0';
    const char *from = text, *to = dash + 1;
    if (*from == '\0') { /* the last n bytes */
        if (!number_valid(to, &number))
            return WHOLE;
        if (number == 0 || size == 0)
            return OUTSIDE;
        *first = number < size ? size - number : 0;
        *last = size - 1;
        return PART;
    }
    if (!number_valid(from, first) || (*to != '\0' && !number_valid(to, last)))
        return WHOLE;
    if (*to != '\0' && *last < *first)
        return WHOLE;
    if (*first >= size)
        return OUTSIDE;
    if (*to == '\0' || *last >= size)
        *last = size - 1;
    return PART;
}

/* Send the client to the back end where that can serve it; false: it cannot. */
static bool redirect(struct request *rq, const char *path)
{
    sd_redirect_request request = {.struct_size = sizeof request, .method = rq->method};
    sd_buffer *url = NULL;
    sd_error *err = NULL;
    if (!options.redirect)
        return false;
    if (sd_redirect_url(store, NULL, path, &request, &url, &err) != SD_OK) {
        warn_store("asking for a redirect", err);
        return false;
    }
    if (url == NULL)
        return false;
    reply_empty(rq, 307);
    /* Not reply_header: signed URLs have no upper length. */
    MHD_add_response_header(rq->response, MHD_HTTP_HEADER_LOCATION,
                            (const char *)sd_buffer_data(url));
    sd_buffer_free(url);
    return true;
}

void blob_get(struct request *rq)
{
    struct path path;
    uint64_t size = 0, first = 0, last = 0;
    sd_error *err = NULL;
    sd_reader *reader = NULL;
    sd_status rc = blob_find(rq->name, rq->ref, &path, &size, &err);
    if (rc != SD_OK) {
        fail_store(rq, err, BLOB_UNKNOWN);
        return;
    }
    if (redirect(rq, path.s))
        return;

    enum range range =
        parse_range(http_header(rq, MHD_HTTP_HEADER_RANGE), size, &first, &last);
    if (range == OUTSIDE) {
        fail(rq, RANGE_INVALID, NULL);
        reply_header(rq, MHD_HTTP_HEADER_CONTENT_RANGE, "bytes */%llu",
                     (unsigned long long)size);
        return;
    }
    if (range == WHOLE)
        first = 0;
    uint64_t length = range == PART ? last - first + 1 : size;
    /* Opened before the first byte of the reply, so that failure gets a status. */
    if (!http_is_head(rq) && length > 0)
        rc = sd_reader_open(store, NULL, path.s, (int64_t)first, &reader, &err);
    if (rc != SD_OK) {
        fail_store(rq, err, BLOB_UNKNOWN);
        return;
    }
    reply(
        rq, range == PART ? 206 : 200,
        MHD_create_response_from_callback(length, BLOCK, next_block, reader, close_reader));
    reply_header(rq, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    reply_header(rq, "Docker-Content-Digest", "%s", rq->ref);
    reply_header(rq, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    reply_header(rq, MHD_HTTP_HEADER_CACHE_CONTROL, "max-age=31536000");
    if (range == PART)
        reply_header(rq, MHD_HTTP_HEADER_CONTENT_RANGE, "bytes %llu-%llu/%llu",
                     (unsigned long long)first, (unsigned long long)last,
                     (unsigned long long)size);
}

/* The repository lets go of the blob; its bytes stay for other repositories and
 * for a garbage collector. */
void blob_delete(struct request *rq)
{
    sd_error *err = NULL;
    if (link_delete(path_layer(rq->name, rq->ref), &err) != SD_OK) {
        fail_store(rq, err, BLOB_UNKNOWN);
        return;
    }
    reply_empty(rq, 202);
}
