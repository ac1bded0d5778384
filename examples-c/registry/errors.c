/* Errors as the distribution specification wants them:
 * {"errors":[{"code":"BLOB_UNKNOWN","message":"…","detail":…}]} */
#include "registry.h"

static const struct {
    const char *name;
    unsigned status;
    const char *message;
} codes[] = {
    [BLOB_UNKNOWN] = {"BLOB_UNKNOWN", 404, "the repository does not have this blob"},
    [BLOB_UPLOAD_INVALID] = {"BLOB_UPLOAD_INVALID", 400,
                             "the upload cannot go on like this"},
    [BLOB_UPLOAD_UNKNOWN] = {"BLOB_UPLOAD_UNKNOWN", 404, "there is no such upload"},
    [DENIED] = {"DENIED", 403, "the store refuses access"},
    [DIGEST_INVALID] = {"DIGEST_INVALID", 400, "the digest is not sha256:<64 hex digits>"},
    [MANIFEST_BLOB_UNKNOWN] =
        {"MANIFEST_BLOB_UNKNOWN", 404,
         "the manifest names content that the repository does not have"},
    [MANIFEST_INVALID] = {"MANIFEST_INVALID", 400, "the manifest is not valid"},
    [MANIFEST_UNKNOWN] = {"MANIFEST_UNKNOWN", 404,
                          "the repository does not have this manifest"},
    [NAME_INVALID] = {"NAME_INVALID", 400, "the repository name is not valid"},
    [NAME_UNKNOWN] = {"NAME_UNKNOWN", 404, "there is no such repository"},
    [PAGINATION_NUMBER_INVALID] = {"PAGINATION_NUMBER_INVALID", 400, "n is not a number"},
    [RANGE_INVALID] = {"RANGE_INVALID", 416, "the range lies outside the blob"},
    [SIZE_INVALID] = {"SIZE_INVALID", 400, "the length does not match the content"},
    [TOOMANYREQUESTS] = {"TOOMANYREQUESTS", 429, "the store asks to slow down"},
    [UNAVAILABLE] = {"UNAVAILABLE", 503, "the store cannot be reached"},
    [UNKNOWN] = {"UNKNOWN", 500, "the store failed"},
    [UNSUPPORTED] = {"UNSUPPORTED", 405, "this operation is not supported"},
};

void fail_with(struct request *rq, unsigned status, enum error_code code,
               const char *message, json_t *detail)
{
    json_t *body =
        json_pack("{s:[{s:s,s:s,s:o*}]}", "errors", "code", codes[code].name, "message",
                  message ? message : codes[code].message, "detail", detail);
    reply_json(rq, status ? status : codes[code].status, body);
}

void fail(struct request *rq, enum error_code code, const char *message)
{
    fail_with(rq, 0, code, message, NULL);
}

void fail_store(struct request *rq, sd_error *err, enum error_code missing)
{
    sd_status why = sd_error_code(err);
    int64_t wait_ms = sd_error_retry_after_ms(err);
    json_t *detail = json_loads(sd_error_json(err), 0, NULL);
    const char *message = NULL;

    if (options.verbose && why != SD_ERR_PATH_NOT_FOUND) /* that one is an answer */
        fprintf(stderr, "%s %s: %s: %s\n", sd_status_name(why), sd_error_driver(err),
                sd_error_path(err), sd_error_message(err));
    switch (why) {
    case SD_ERR_PATH_NOT_FOUND:
    case SD_ERR_NOT_DIRECTORY: /* a path below a file */
        json_decref(detail);   /* the code says all, the path is nobody's business */
        fail(rq, missing, NULL);
        break;
    case SD_ERR_NO_SPACE: fail_with(rq, 507, UNKNOWN, "the store is full", detail); break;
    case SD_ERR_THROTTLED: fail_with(rq, 0, TOOMANYREQUESTS, NULL, detail); break;
    case SD_ERR_UNAVAILABLE:
    case SD_ERR_DEADLINE:
    case SD_ERR_DRIVER_DIED:
    case SD_ERR_SHUTDOWN: fail_with(rq, 0, UNAVAILABLE, NULL, detail); break;
    case SD_ERR_PERMISSION: fail_with(rq, 0, DENIED, NULL, detail); break;
    case SD_ERR_UNSUPPORTED: fail_with(rq, 0, UNSUPPORTED, NULL, detail); break;
    case SD_ERR_CONFLICT:
        fail_with(rq, 409, UNKNOWN, "somebody else changed this meanwhile", detail);
        break;
    case SD_ERR_CORRUPT:
        message = "the stored bytes are damaged";
        /* fall through */
    default: fail_with(rq, 0, UNKNOWN, message, detail); break;
    }
    if (wait_ms >= 0 || why == SD_ERR_THROTTLED || why == SD_ERR_UNAVAILABLE)
        reply_header(rq, "Retry-After", "%lld",
                     wait_ms > 0 ? (long long)(wait_ms + 999) / 1000 : 1LL);
    sd_error_free(err);
}

void warn_store(const char *what, sd_error *err)
{
    fprintf(stderr, "warning: %s: %s: %s\n", what, sd_error_path(err),
            sd_error_message(err));
    sd_error_free(err);
}
