/* From method and URL to a handler. Repository names may hold any of the words
 * the URLs are made of, so the URL is read from its end. */
#include "registry.h"

enum kind { NOWHERE, METRICS, BASE, CATALOG, TAGS, MANIFEST, BLOB, UPLOADS, UPLOAD };

static void base_get(struct request *rq)
{
    reply_bytes(rq, 200, "application/json; charset=utf-8", "{}", 2);
}

/* Without a repository, a name or a secret in it: verbs, outcomes and times. */
static void metrics_get(struct request *rq)
{
    sd_buffer *text = NULL;
    sd_error *err = NULL;
    if (sd_metrics_text(&text, &err) != SD_OK) {
        fail_store(rq, err, UNKNOWN);
        return;
    }
    reply_bytes(rq, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8",
                sd_buffer_data(text), sd_buffer_len(text));
    sd_buffer_free(text);
}

static const struct {
    enum kind kind;
    const char *method;
    void (*handler)(struct request *rq);
} routes[] = {
    {METRICS, "GET", metrics_get},         {BASE, "GET", base_get},
    {CATALOG, "GET", catalog_list},        {TAGS, "GET", tags_list},
    {MANIFEST, "GET", manifest_get},       {MANIFEST, "PUT", manifest_put},
    {MANIFEST, "DELETE", manifest_delete}, {BLOB, "GET", blob_get},
    {BLOB, "DELETE", blob_delete},         {UPLOADS, "POST", upload_start},
    {UPLOAD, "GET", upload_status},        {UPLOAD, "PATCH", upload_patch},
    {UPLOAD, "PUT", upload_put},           {UPLOAD, "DELETE", upload_delete},
};

static bool cut_end(const char *text, size_t *len, const char *end)
{
    size_t end_len = strlen(end);
    if (*len <= end_len || memcmp(text + *len - end_len, end, end_len) != 0)
        return false;
    *len -= end_len;
    return true;
}

/* Which kind of resource `url` is; for those of a repository, where its name
 * starts and how long it is, and the last component. */
static enum kind parse(const char *url, const char **name, size_t *len, const char **ref)
{
    if (options.metrics && strcmp(url, "/metrics") == 0)
        return METRICS;
    if (strcmp(url, "/v2") == 0 || strcmp(url, "/v2/") == 0)
        return BASE;
    if (strncmp(url, "/v2/", 4) != 0)
        return NOWHERE;
    *name = url + 4;
    if (strcmp(*name, "_catalog") == 0)
        return CATALOG;
    const char *slash = strrchr(*name, '/');
    if (slash == NULL)
        return NOWHERE;
    *ref = slash + 1;
    *len = (size_t)(slash - *name);
    if (strcmp(*ref, "list") == 0 && cut_end(*name, len, "/tags"))
        return TAGS;
    if (cut_end(*name, len, "/manifests"))
        return MANIFEST;
    if (cut_end(*name, len, "/blobs/uploads"))
        return **ref == '\0' ? UPLOADS : UPLOAD;
    if (cut_end(*name, len, "/blobs"))
        return strcmp(*ref, "uploads") == 0 ? UPLOADS : BLOB;
    return NOWHERE;
}

/* Check name and reference; false: refused already. */
static bool check(struct request *rq, enum kind kind, const char *name, size_t len,
                  const char *ref)
{
    if (len <= NAME_LEN)
        memcpy(rq->name, name, len);
    if (!name_valid(rq->name)) {
        fail(rq, NAME_INVALID, NULL);
        return false;
    }
    snprintf(rq->ref, sizeof rq->ref, "%s", ref);
    if (kind == BLOB || (kind == MANIFEST && strchr(ref, ':') != NULL)) {
        if (!digest_valid(ref)) {
            fail(rq, DIGEST_INVALID, NULL);
            return false;
        }
    } else if (kind == MANIFEST && !tag_valid(ref)) {
        if (strcmp(rq->method, "PUT") == 0)
            fail(rq, MANIFEST_INVALID, "the tag is not valid");
        else
            fail(rq, MANIFEST_UNKNOWN, NULL);
        return false;
    } else if (kind == UPLOAD && !uuid_valid(ref)) {
        fail(rq, BLOB_UPLOAD_UNKNOWN, NULL);
        return false;
    }
    return true;
}

void route(struct request *rq, const char *method, const char *url)
{
    const char *name = NULL, *ref = NULL;
    size_t len = 0;
    enum kind kind = parse(url, &name, &len, &ref);
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    char allowed[64] = "";

    if (kind == NOWHERE) {
        fail_with(rq, 404, UNSUPPORTED, "no such resource", NULL);
        return;
    }
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (routes[i].kind != kind)
            continue;
        if (strcmp(routes[i].method, wanted) == 0) {
            if (ref == NULL || check(rq, kind, name, len, ref))
                routes[i].handler(rq);
            return;
        }
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s", used ? ", " : "",
                 routes[i].method);
    }
    fail(rq, UNSUPPORTED, NULL);
    reply_header(rq, "Allow", "%s", allowed);
}
