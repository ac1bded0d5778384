/* Listings, in pages: the tags of a repository, the repositories of the store. */
#include "registry.h"

/* ?n=, at most PAGE_MAX, or `usual` without it; false: replied. */
static bool page_size(struct request *rq, uint64_t usual, uint64_t *n)
{
    const char *text = http_query(rq, "n");
    *n = usual;
    if (text != NULL && !number_valid(text, n)) {
        fail(rq, PAGINATION_NUMBER_INVALID, NULL);
        return false;
    }
    if (text != NULL && *n > PAGE_MAX)
        *n = PAGE_MAX;
    return true;
}

/* Where the next page is, when `more` is left after the last of `list`. */
static void add_link(struct request *rq, const char *url, const json_t *list, uint64_t n,
                     bool more)
{
    if (more && n > 0)
        reply_header(rq, MHD_HTTP_HEADER_LINK, "<%s?n=%llu&last=%s>; rel=\"next\"", url,
                     (unsigned long long)n,
                     json_string_value(json_array_get(list, json_array_size(list) - 1)));
}

/* ---- tags ------------------------------------------------------------------- */

/* Up to `n` tags after `last`; `*more` when there are others behind them. */
static sd_status read_tags(const char *name, const char *last, uint64_t n, json_t *tags,
                           bool *more, sd_error **err)
{
    struct path dir = path_repository(name, "/_manifests/tags");
    struct path after = path_tag(name, last ? last : "", "");
    bool resumed = last != NULL;
    sd_status rc;
    *more = false;
    for (;;) {
        sd_names *page = NULL;
        rc = sd_list_page(store, NULL, dir.s, resumed ? after.s : NULL, PAGE_MAX, &page,
                          err);
        size_t count = rc == SD_OK ? sd_names_count(page) : 0;
        for (size_t i = 0; i < count && !*more; i++) {
            const char *tag = strrchr(sd_names_get(page, i), '/') + 1;
            snprintf(after.s, sizeof after.s, "%s", sd_names_get(page, i));
            if (json_array_size(tags) == n)
                *more = true;
            else if (tag_valid(tag))
                json_array_append_new(tags, json_string(tag));
        }
        resumed = true;
        sd_names_free(page);
        if (count == 0 || *more) /* only an empty page is the end */
            return rc;
    }
}

/* A repository may exist without tags; nothing below its name means it does not. */
static bool repository_exists(struct request *rq)
{
    sd_error *err = NULL;
    bool yes = false;
    sd_status rc = path_exists(path_repository(rq->name, "/_manifests"), &yes, &err);
    if (rc == SD_OK && !yes)
        rc = path_exists(path_repository(rq->name, "/_layers"), &yes, &err);
    if (rc != SD_OK)
        fail_store(rq, err, NAME_UNKNOWN);
    else if (!yes)
        fail(rq, NAME_UNKNOWN, NULL);
    return rc == SD_OK && yes;
}

void tags_list(struct request *rq)
{
    const char *last = http_query(rq, "last");
    char url[NAME_LEN + 32];
    uint64_t n;
    bool more = false;
    sd_error *err = NULL;
    if (last != NULL && *last == '\0')
        last = NULL;
    if (!page_size(rq, UINT64_MAX, &n))
        return;
    if (last != NULL && !tag_valid(last)) {
        fail(rq, NAME_INVALID, "last is not a tag");
        return;
    }
    json_t *tags = json_array();
    sd_status rc = read_tags(rq->name, last, n, tags, &more, &err);
    if (rc == SD_ERR_PATH_NOT_FOUND) {
        sd_error_free(err);
        err = NULL;
        rc = repository_exists(rq) ? SD_OK : SD_ERR_PATH_NOT_FOUND;
    } else if (rc != SD_OK) {
        fail_store(rq, err, NAME_UNKNOWN);
    }
    if (rc == SD_OK) {
        snprintf(url, sizeof url, "/v2/%s/tags/list", rq->name);
        reply_json(rq, 200, json_pack("{s:s,s:O}", "name", rq->name, "tags", tags));
        add_link(rq, url, tags, n, more);
    }
    json_decref(tags);
}

/* ---- repositories ------------------------------------------------------------ */

struct catalog {
    json_t *names;
    uint64_t n;
    size_t prefix; /* length of the path above the names */
    bool more;
    sd_error *err;
};

/* Each directory not starting with "_" is a repository or leads to one; names
 * can be nested, so the walk goes on below a repository as well. */
static sd_status visit(void *user, const sd_file_info *info)
{
    struct catalog *catalog = user;
    bool yes = false;
    if (!(info->flags & SD_INFO_DIR))
        return SD_OK;
    if (strrchr(info->path, '/')[1] == '_')
        return SD_SKIP_DIR;
    if (strlen(info->path) <= catalog->prefix || !name_valid(info->path + catalog->prefix))
        return SD_OK;
    const char *name = info->path + catalog->prefix;
    sd_status rc = path_exists(path_repository(name, "/_manifests"), &yes, &catalog->err);
    if (rc != SD_OK || !yes)
        return rc;
    if (json_array_size(catalog->names) == catalog->n) {
        catalog->more = true;
        return SD_STOP;
    }
    json_array_append_new(catalog->names, json_string(name));
    return SD_OK;
}

void catalog_list(struct request *rq)
{
    const char *last = http_query(rq, "last");
    struct path root = path_repositories(), after;
    struct catalog catalog = {.prefix = strlen(root.s) + 1};
    sd_walk_options walk = {.struct_size = sizeof walk};
    sd_error *err = NULL;
    if (!page_size(rq, 100, &catalog.n))
        return;
    if (last != NULL && *last != '\0') {
        if (!name_valid(last)) {
            fail(rq, NAME_INVALID, "last is not a repository name");
            return;
        }
        after = path_repository(last, "");
        walk.start_after = after.s;
    }
    catalog.names = json_array();
    sd_status rc = sd_walk(store, NULL, root.s, &walk, visit, &catalog, &err);
    if (rc == SD_ERR_CALLBACK && catalog.err != NULL) { /* the stat in visit() failed */
        sd_error_free(err);
        fail_store(rq, catalog.err, NAME_UNKNOWN);
    } else if (rc != SD_OK && rc != SD_ERR_PATH_NOT_FOUND) {
        fail_store(rq, err, NAME_UNKNOWN);
    } else { /* an empty store has no directory of repositories yet */
        sd_error_free(err);
        reply_json(rq, 200, json_pack("{s:O}", "repositories", catalog.names));
        add_link(rq, "/v2/_catalog", catalog.names, catalog.n, catalog.more);
    }
    json_decref(catalog.names);
}
