/* The server: one thread per connection, so that handlers may simply block.
 * libmicrohttpd calls on_request() once with the headers, then once per piece of
 * body, then once more at its end; only then is the reply sent. */
#include "registry.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <strings.h>
#include <time.h>

/* A refused body is read and dropped up to here, so that the client gets to see
 * the reply; one that goes on loses its connection. */
#define IGNORE_MAX        ((size_t)64 << 20)
#define CONNECTIONS_MAX   1000u
#define CONNECTION_MEMORY ((size_t)256 << 10) /* sets the size of body pieces */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The start of the log line. The URL is the client's: only plain characters. */
static void log_begin(struct request *rq, const char *url)
{
    rq->started_ms = now_ms();
    snprintf(rq->log_line, sizeof rq->log_line, "%s %s", rq->method, url);
    for (char *p = rq->log_line; *p != '\0'; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
}

static void log_end(const struct request *rq, enum MHD_RequestTerminationCode how)
{
    const char *end = how == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" : " (ended early)";
    if (options.verbose)
        fprintf(stderr, "%s %u %lldms%s\n", rq->log_line, rq->status,
                (long long)(now_ms() - rq->started_ms), end);
}

/* The time a handler took for headers or body must not count as idleness of the
 * client: going from no limit to a limit starts libmicrohttpd's clock anew. (It
 * does so by itself when a reply is sent.) */
static void restart_idle_clock(struct request *rq)
{
    MHD_set_connection_option(rq->http, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    MHD_set_connection_option(rq->http, MHD_CONNECTION_OPTION_TIMEOUT,
                              options.idle_timeout);
}

static enum MHD_Result send_reply(struct request *rq)
{
    if (rq->response == NULL)
        fail(rq, UNKNOWN, "no reply was made");
    reply_header(rq, "Docker-Distribution-Api-Version", "registry/2.0");
    enum MHD_Result sent = MHD_queue_response(rq->http, rq->status, rq->response);
    MHD_destroy_response(rq->response);
    rq->response = NULL;
    return sent;
}

static bool waits_for_continue(struct request *rq)
{
    const char *expect = http_header(rq, MHD_HTTP_HEADER_EXPECT);
    return expect != NULL && strcasecmp(expect, "100-continue") == 0;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *http, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
    struct request *rq = *state;
    (void)cls;
    (void)version;

    if (rq == NULL) {
        rq = calloc(1, sizeof *rq);
        if (rq == NULL)
            return MHD_NO;
        *state = rq;
        rq->http = http;
        rq->method = method;
        log_begin(rq, url);
        route(rq, method, url);
        restart_idle_clock(rq);
        if (rq->response != NULL && waits_for_continue(rq))
            return send_reply(rq);
        return MHD_YES;
    }
    if (*len > 0) {
        if (rq->response == NULL && rq->on_body != NULL)
            rq->on_body(rq, data, *len);
        else
            rq->ignored += *len;
        *len = 0;
        restart_idle_clock(rq);
        return rq->ignored <= IGNORE_MAX ? MHD_YES : MHD_NO;
    }
    if (rq->response == NULL && rq->on_end != NULL)
        rq->on_end(rq);
    return send_reply(rq);
}

/* Called for every request, however it ended. */
static void on_completed(void *cls, struct MHD_Connection *http, void **state,
                         enum MHD_RequestTerminationCode how)
{
    struct request *rq = *state;
    (void)cls;
    (void)http;
    if (rq == NULL)
        return;
    *state = NULL;
    upload_abandon(rq);
    if (rq->response != NULL)
        MHD_destroy_response(rq->response);
    log_end(rq, how);
    free(rq->body);
    free(rq);
}

static void on_log(void *cls, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *format, va_list args)
{
    (void)cls;
    if (options.verbose)
        vfprintf(stderr, format, args);
}

struct MHD_Daemon *http_start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(options.port)};
    if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1)
        return NULL;
    return MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
            MHD_USE_ITC | MHD_USE_ERROR_LOG,
        options.port, NULL, NULL, on_request, NULL, /* the log function must come first */
        MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_CONNECTION_TIMEOUT, options.idle_timeout, MHD_OPTION_CONNECTION_LIMIT,
        CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
        MHD_OPTION_END);
}

const char *http_header(struct request *rq, const char *name)
{
    return MHD_lookup_connection_value(rq->http, MHD_HEADER_KIND, name);
}

const char *http_query(struct request *rq, const char *name)
{
    return MHD_lookup_connection_value(rq->http, MHD_GET_ARGUMENT_KIND, name);
}

bool http_is_head(const struct request *rq)
{
    return strcmp(rq->method, "HEAD") == 0;
}

bool http_body_length(struct request *rq, uint64_t *length)
{
    const char *text = http_header(rq, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return text != NULL && number_valid(text, length);
}

void reply(struct request *rq, unsigned status, struct MHD_Response *response)
{
    if (rq->response != NULL)
        MHD_destroy_response(rq->response);
    rq->response = response;
    rq->status = status;
}

void reply_empty(struct request *rq, unsigned status)
{
    reply(rq, status, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
}

void reply_bytes(struct request *rq, unsigned status, const char *type, const void *data,
                 size_t len)
{
    reply(rq, status,
          MHD_create_response_from_buffer(len, (void *)(uintptr_t)data,
                                          MHD_RESPMEM_MUST_COPY));
    reply_header(rq, MHD_HTTP_HEADER_CONTENT_TYPE, "%s", type);
}

void reply_json(struct request *rq, unsigned status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (text != NULL)
        reply_bytes(rq, status, "application/json; charset=utf-8", text, strlen(text));
    else
        reply_empty(rq, 500);
    free(text);
}

void reply_header(struct request *rq, const char *name, const char *format, ...)
{
    char value[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (rq->response != NULL)
        MHD_add_response_header(rq->response, name, value);
}
