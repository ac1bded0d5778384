/* A small OCI registry over libstoragedriver: what its files share.
 *
 * One request is one `struct request`. route() finds its handler from the URL;
 * the handler either replies at once or sets `on_body` and `on_end` to see the
 * body first. Whoever replies sets `response`, which http.c then sends. */
#ifndef REGISTRY_H
#define REGISTRY_H

#define _DEFAULT_SOURCE /* getentropy, strcasecmp, POSIX */

#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <storagedriver.h>

#define NAME_LEN     255 /* a repository name, at most */
#define TAG_LEN      128 /* a tag, at most */
#define UUID_LEN     36
#define DIGEST_LEN   71 /* "sha256:" and 64 hex digits */
#define PAGE_MAX     1000
#define MANIFEST_MAX ((size_t)4 << 20)
#define BLOCK        ((size_t)256 << 10) /* bytes read from the store at a time */

struct options {
    const char *driver;
    sd_params *params;
    char host[64];
    uint16_t port;
    unsigned idle_timeout; /* seconds without a byte from or to a client */
    bool redirect;         /* send clients to the back end where it can serve them */
    bool metrics;          /* answer /metrics */
    bool verbose;
};
extern struct options options;
extern sd_driver *store;

struct request {
    struct MHD_Connection *http;
    const char *method;
    char name[NAME_LEN + 1];
    char ref[TAG_LEN + 1]; /* tag, digest or upload uuid */
    void (*on_body)(struct request *rq, const char *data, size_t len);
    void (*on_end)(struct request *rq);
    struct MHD_Response *response; /* what to send, once known */
    unsigned status;
    size_t ignored; /* body bytes read past after a refusal */
    /* uploads.c */
    sd_writer *writer;
    struct request *next_busy;
    bool busy;
    char digest[DIGEST_LEN + 1];
    /* manifests.c */
    char *body;
    size_t body_len;
    /* the access log */
    char log_line[512];
    int64_t started_ms;
};

/* http.c: the server, requests and replies */
struct MHD_Daemon *http_start(void);
const char *http_header(struct request *rq, const char *name); /* NULL: absent */
const char *http_query(struct request *rq, const char *name);
bool http_is_head(const struct request *rq);
bool http_body_length(struct request *rq, uint64_t *length); /* false: not announced */
void reply(struct request *rq, unsigned status, struct MHD_Response *response);
void reply_empty(struct request *rq, unsigned status);
void reply_bytes(struct request *rq, unsigned status, const char *type, const void *data,
                 size_t len);
void reply_json(struct request *rq, unsigned status, json_t *json); /* takes `json` */
void reply_header(struct request *rq, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* route.c: from URL to handler */
void route(struct request *rq, const char *method, const char *url);

/* errors.c: the error form of the distribution specification */
enum error_code {
    BLOB_UNKNOWN,
    BLOB_UPLOAD_INVALID,
    BLOB_UPLOAD_UNKNOWN,
    DENIED,
    DIGEST_INVALID,
    MANIFEST_BLOB_UNKNOWN,
    MANIFEST_INVALID,
    MANIFEST_UNKNOWN,
    NAME_INVALID,
    NAME_UNKNOWN,
    PAGINATION_NUMBER_INVALID,
    RANGE_INVALID,
    SIZE_INVALID,
    TOOMANYREQUESTS,
    UNAVAILABLE,
    UNKNOWN,
    UNSUPPORTED
};
void fail(struct request *rq, enum error_code code,
          const char *message); /* NULL: usual text */
void fail_with(struct request *rq, unsigned status, enum error_code code,
               const char *message,
               json_t *detail); /* status 0: the code's own; takes `detail` */
/* Answer for a failed sd_* call; `missing` is said when the path is not there. Frees `err`.
 */
void fail_store(struct request *rq, sd_error *err, enum error_code missing);
void warn_store(const char *what, sd_error *err); /* log only; frees `err` */

/* grammar.c: what may appear in a URL */
bool name_valid(const char *name);
bool tag_valid(const char *tag);
bool uuid_valid(const char *uuid);
bool digest_valid(const char *digest);
bool number_valid(const char *text, uint64_t *out);

/* digest.c */
void digest_bytes(const void *data, size_t len, char out[DIGEST_LEN + 1]);
sd_status digest_stored(const char *path, char out[DIGEST_LEN + 1], sd_error **err);

/* store.c: Distribution's layout */
struct path {
    char s[768];
};
struct path path_repositories(void);
struct path path_repository(const char *name, const char *below); /* below: "" or "/..." */
struct path path_blob(const char *digest);
struct path path_layer(const char *name, const char *digest);    /* + "/link" */
struct path path_revision(const char *name, const char *digest); /* + "/link" */
struct path path_tag(const char *name, const char *tag, const char *below);
struct path path_upload(const char *name, const char *uuid, const char *below);

sd_status path_exists(struct path path, bool *yes, sd_error **err);
/* Whether a blob is there and not cut short: `size` bytes long. */
sd_status blob_whole(struct path path, uint64_t size, bool *yes, sd_error **err);
sd_status link_read(struct path dir, char digest[DIGEST_LEN + 1], sd_error **err);
sd_status link_write(struct path dir, const char *digest, sd_error **err);
sd_status link_delete(struct path dir, sd_error **err);
/* The blob that repository `name` links as `digest`: its path and size. */
sd_status blob_find(const char *name, const char *digest, struct path *path, uint64_t *size,
                    sd_error **err);

/* handlers */
void blob_get(struct request *rq);
void blob_delete(struct request *rq);
void upload_start(struct request *rq);
void upload_status(struct request *rq);
void upload_patch(struct request *rq);
void upload_put(struct request *rq);
void upload_delete(struct request *rq);
void upload_abandon(struct request *rq); /* keep the bytes of a request that ends early */
void manifest_get(struct request *rq);
void manifest_put(struct request *rq);
void manifest_delete(struct request *rq);
void tags_list(struct request *rq);
void catalog_list(struct request *rq);

#endif
