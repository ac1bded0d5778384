/* Manifests: blobs that a repository links as revisions, and tags that point at
 * them. */
#include "registry.h"

static const struct {
    const char *type;
    bool index;
} types[] = {
    {"application/vnd.oci.image.manifest.v1+json", false},
    {"application/vnd.oci.image.index.v1+json", true},
    {"application/vnd.docker.distribution.manifest.v2+json", false},
    {"application/vnd.docker.distribution.manifest.list.v2+json", true},
};
enum { OCI_MANIFEST, OCI_INDEX, TYPES = sizeof types / sizeof *types };

/* The manifest says itself what it is; OCI lets it leave the media type out, and
 * then its members tell. TYPES: none that we know. */
static size_t type_of(const json_t *manifest)
{
    const char *type = json_string_value(json_object_get(manifest, "mediaType"));
    size_t i = 0;
    if (json_integer_value(json_object_get(manifest, "schemaVersion")) != 2)
        return TYPES;
    if (type == NULL) {
        if (json_is_array(json_object_get(manifest, "manifests")))
            return OCI_INDEX;
        return json_is_object(json_object_get(manifest, "config")) ? OCI_MANIFEST : TYPES;
    }
    while (i < TYPES && strcmp(types[i].type, type) != 0)
        i++;
    return i;
}

static bool is_tag(const struct request *rq)
{
    return strchr(rq->ref, ':') == NULL;
}

/* ---- GET and HEAD -------------------------------------------------------- */

/* The bytes of a manifest, which are small enough to be checked every time. */
static sd_status load(const char *digest, sd_buffer **bytes, sd_error **err)
{
    struct path path = path_blob(digest);
    char found[DIGEST_LEN + 1];
    sd_status rc = sd_get_content(store, NULL, path.s, bytes, err);
    if (rc != SD_OK)
        return rc;
    digest_bytes(sd_buffer_data(*bytes), sd_buffer_len(*bytes), found);
    if (strcmp(found, digest) == 0)
        return SD_OK;
    sd_buffer_free(*bytes);
    *bytes = NULL;
    *err = sd_error_new(SD_ERR_CORRUPT, "the manifest has another digest than its name");
    sd_error_set_path(*err, path.s);
    return SD_ERR_CORRUPT;
}

void manifest_get(struct request *rq)
{
    char digest[DIGEST_LEN + 1], target[DIGEST_LEN + 1];
    sd_error *err = NULL;
    sd_buffer *bytes = NULL;
    sd_status rc = SD_OK;
    if (is_tag(rq))
        rc = link_read(path_tag(rq->name, rq->ref, "/current"), digest, &err);
    else
        strcpy(digest, rq->ref);
    if (rc == SD_OK)
        rc = link_read(path_revision(rq->name, digest), target, &err);
    if (rc == SD_OK)
        rc = load(target, &bytes, &err);
    if (rc != SD_OK) {
        fail_store(rq, err, MANIFEST_UNKNOWN);
        return;
    }
    json_t *manifest =
        json_loadb((const char *)sd_buffer_data(bytes), sd_buffer_len(bytes), 0, NULL);
    size_t type = type_of(manifest);
    reply_bytes(rq, 200, type < TYPES ? types[type].type : "application/json",
                sd_buffer_data(bytes), sd_buffer_len(bytes));
    reply_header(rq, "Docker-Content-Digest", "%s", digest);
    json_decref(manifest);
    sd_buffer_free(bytes);
}

/* ---- PUT ------------------------------------------------------------------ */

static void collect(struct request *rq, const char *data, size_t len)
{
    if (len > MANIFEST_MAX - rq->body_len) {
        fail_with(rq, 413, MANIFEST_INVALID, "the manifest is larger than 4 MiB", NULL);
        return;
    }
    char *larger = realloc(rq->body, rq->body_len + len);
    if (larger == NULL) {
        fail(rq, UNAVAILABLE, "out of memory");
        return;
    }
    memcpy(larger + rq->body_len, data, len);
    rq->body = larger;
    rq->body_len += len;
}

/* Whether the repository has what one descriptor names; false: replied. */
static bool check_descriptor(struct request *rq, const json_t *descriptor, bool is_manifest)
{
    const char *digest = json_string_value(json_object_get(descriptor, "digest"));
    char target[DIGEST_LEN + 1];
    struct path path;
    uint64_t size;
    sd_error *err = NULL;
    sd_status rc;
    if (digest == NULL || !digest_valid(digest)) {
        fail(rq, MANIFEST_INVALID, "a descriptor has no sha256 digest");
        return false;
    }
    if (json_array_size(json_object_get(descriptor, "urls")) > 0)
        return true; /* a layer that is fetched from elsewhere */
    rc = is_manifest ? link_read(path_revision(rq->name, digest), target, &err)
                     : blob_find(rq->name, digest, &path, &size, &err);
    if (rc == SD_OK)
        return true;
    if (rc == SD_ERR_PATH_NOT_FOUND) {
        sd_error_free(err);
        fail_with(rq, 0, MANIFEST_BLOB_UNKNOWN, NULL, json_pack("{s:s}", "digest", digest));
    } else {
        fail_store(rq, err, MANIFEST_BLOB_UNKNOWN);
    }
    return false;
}

/* Whether everything the manifest is made of is here; false: replied. */
static bool check_references(struct request *rq, const json_t *manifest, bool index)
{
    const json_t *list = json_object_get(manifest, index ? "manifests" : "layers");
    const json_t *descriptor;
    size_t i;
    if (!json_is_array(list)) {
        fail(rq, MANIFEST_INVALID,
             index ? "manifests is not a list" : "layers is not a list");
        return false;
    }
    if (!index && !check_descriptor(rq, json_object_get(manifest, "config"), false))
        return false;
    json_array_foreach(
        list, i, descriptor) if (!check_descriptor(rq, descriptor, index)) return false;
    return true;
}

/* Content-Type may be missing or carry parameters, but must not contradict. */
static bool type_agrees(struct request *rq, const char *type)
{
    const char *header = http_header(rq, MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t len = header ? strcspn(header, "; ") : 0;
    return header == NULL || (len == strlen(type) && memcmp(header, type, len) == 0);
}

static sd_status save(struct request *rq, const char *digest, sd_error **err)
{
    struct path blob = path_blob(digest);
    bool whole = false;
    sd_status rc = blob_whole(blob, rq->body_len, &whole, err);
    if (rc == SD_OK && !whole)
        rc = sd_put_content(store, NULL, blob.s, rq->body, rq->body_len, err);
    if (rc == SD_OK)
        rc = link_write(path_revision(rq->name, digest), digest, err);
    if (rc == SD_OK && is_tag(rq)) {
        char below[32 + DIGEST_LEN];
        snprintf(below, sizeof below, "/index/sha256/%s", digest + strlen("sha256:"));
        rc = link_write(path_tag(rq->name, rq->ref, below), digest, err);
        if (rc == SD_OK) /* last: from here on the tag points at something whole */
            rc = link_write(path_tag(rq->name, rq->ref, "/current"), digest, err);
    }
    return rc;
}

static void put_end(struct request *rq)
{
    char digest[DIGEST_LEN + 1];
    json_error_t why;
    sd_error *err = NULL;
    json_t *manifest = json_loadb(rq->body ? rq->body : "", rq->body_len, 0, &why);
    size_t type = type_of(manifest);

    digest_bytes(rq->body ? rq->body : "", rq->body_len, digest);
    if (manifest == NULL)
        fail(rq, MANIFEST_INVALID, why.text);
    else if (type == TYPES)
        fail(rq, MANIFEST_INVALID,
             "neither an OCI nor a Docker schema 2 manifest or index");
    else if (!type_agrees(rq, types[type].type))
        fail(rq, MANIFEST_INVALID, "Content-Type and mediaType disagree");
    else if (!is_tag(rq) && strcmp(rq->ref, digest) != 0)
        fail_with(rq, 0, DIGEST_INVALID, "the content has another digest",
                  json_pack("{s:s}", "digest", digest));
    else if (!check_references(rq, manifest, types[type].index))
        ; /* replied */
    else if (save(rq, digest, &err) != SD_OK)
        fail_store(rq, err, NAME_UNKNOWN);
    else {
        reply_empty(rq, 201);
        reply_header(rq, MHD_HTTP_HEADER_LOCATION, "/v2/%s/manifests/%s", rq->name, digest);
        reply_header(rq, "Docker-Content-Digest", "%s", digest);
    }
    json_decref(manifest);
}

void manifest_put(struct request *rq)
{
    rq->on_body = collect;
    rq->on_end = put_end;
}

/* ---- DELETE --------------------------------------------------------------- */

/* Remove every tag that points at `digest`. */
static sd_status untag(const char *name, const char *digest, sd_error **err)
{
    struct path tags = path_repository(name, "/_manifests/tags");
    sd_names *list = NULL;
    sd_status rc = sd_list(store, NULL, tags.s, &list, err);
    for (size_t i = 0; rc == SD_OK && i < sd_names_count(list); i++) {
        char current[DIGEST_LEN + 1];
        const char *tag = strrchr(sd_names_get(list, i), '/') + 1;
        rc = link_read(path_tag(name, tag, "/current"), current, err);
        if (rc == SD_OK && strcmp(current, digest) == 0)
            rc = sd_delete(store, NULL, path_tag(name, tag, "").s, err);
        if (rc == SD_ERR_PATH_NOT_FOUND) { /* removed meanwhile, or never finished */
            sd_error_free(*err);
            *err = NULL;
            rc = SD_OK;
        }
    }
    sd_names_free(list);
    if (rc == SD_ERR_PATH_NOT_FOUND) { /* no tags at all */
        sd_error_free(*err);
        *err = NULL;
        rc = SD_OK;
    }
    return rc;
}

/* By tag: the tag goes. By digest: the revision goes, and the tags that point at
 * it go first, so that no tag is ever left pointing nowhere. */
void manifest_delete(struct request *rq)
{
    char target[DIGEST_LEN + 1];
    sd_error *err = NULL;
    sd_status rc;
    if (is_tag(rq)) {
        rc = sd_delete(store, NULL, path_tag(rq->name, rq->ref, "").s, &err);
    } else {
        rc = link_read(path_revision(rq->name, rq->ref), target, &err);
        if (rc == SD_OK)
            rc = untag(rq->name, rq->ref, &err);
        if (rc == SD_OK)
            rc = link_delete(path_revision(rq->name, rq->ref), &err);
    }
    if (rc != SD_OK)
        fail_store(rq, err, MANIFEST_UNKNOWN);
    else
        reply_empty(rq, 202);
}
