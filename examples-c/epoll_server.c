/* epoll_server - serve the files of a store over HTTP from one thread.
 *
 *   epoll_server filesystem '{"rootdirectory":"/srv/store"}' 8080
 *   curl http://127.0.0.1:8080/path/of/object
 *
 * Nothing here blocks: every call of the store goes through a completion queue,
 * whose descriptor sits in the same epoll set as the sockets. A connection has one
 * call in flight at most, whose tag is its address, and ends only between calls.
 * HTTP is in epoll_http.c. Timeouts are left out: a silent client stays. */
#include "epoll_http.h"
#include <stdio.h>
#include <stdlib.h>
#include <storagedriver.h>

struct conn {
    struct http http;
    enum { NONE, STAT, OPEN, READ } call; /* in flight */
    sd_reader *reader;
    uint64_t left; /* bytes of the file not read yet */
};

static sd_driver *driver;
static sd_cq *cq;

static void drop(struct conn *c)
{
    sd_reader_free(c->reader);
    http_close(&c->http);
}

/* Starts one call of the store; completed() goes on with what it brings. */
static sd_status submit(struct conn *c, int call)
{
    size_t room = HTTP_BLOCK - c->http.out_len;
    uintptr_t tag = (uintptr_t)c;
    sd_status status;
    if (call == STAT)
        status = sd_submit_stat(cq, tag, driver, NULL, c->http.path, NULL);
    else if (call == OPEN)
        status = sd_submit_reader_open(cq, tag, driver, NULL, c->http.path, 0, NULL);
    else
        status = sd_submit_reader_read(cq, tag, c->reader, c->http.out + c->http.out_len,
                                       c->left < room ? (size_t)c->left : room, NULL);
    if (status == SD_OK)
        c->call = call;
    return status;
}

static void refuse(struct conn *c, sd_status why)
{
    int missing = why == SD_ERR_PATH_NOT_FOUND || why == SD_ERR_NOT_DIRECTORY;
    int wrong = why == SD_ERR_INVALID_PATH || why == SD_ERR_INVALID_ARGUMENT;
    c->left = http_answer(&c->http, missing ? 404 : wrong ? 400 : 500, 0);
}

/* Goes as far as socket and store allow; false to end the connection. */
static int advance(struct conn *c)
{
    enum http_event event = HTTP_WAIT;
    sd_status status;
    while (c->call == NONE && (event = http_advance(&c->http)) > HTTP_GONE) {
        if (event == HTTP_REQUEST && (status = submit(c, STAT)) != SD_OK)
            refuse(c, status);
        if (event == HTTP_SENT && c->left > 0 && submit(c, READ) != SD_OK)
            return 0;
        if (event == HTTP_SENT && c->left == 0) {
            sd_reader_free(c->reader), c->reader = NULL;
            http_done(&c->http);
        }
    }
    return event != HTTP_GONE;
}

static int completed(struct conn *c, sd_completion *done)
{
    sd_status status = sd_completion_status(done);
    int was = c->call;
    c->call = NONE;
    if (was == READ) {
        size_t n = (size_t)sd_completion_count(done);
        if (n == 0)
            return 0; /* failed, or shorter than was promised */
        c->http.out_len += n, c->left -= n;
    } else if (status == SD_OK && was == STAT) {
        sd_file_info *info = sd_completion_take_file_info(done);
        if (info->flags & SD_INFO_DIR)
            status = SD_ERR_PATH_NOT_FOUND;
        else if ((c->left = http_answer(&c->http, 200, info->size)) > 0)
            status = submit(c, OPEN);
        sd_file_info_free(info);
    } else if (status == SD_OK && was == OPEN) {
        c->reader = sd_completion_take_reader(done);
        status = submit(c, READ); /* behind the head, to be sent with it */
    }
    if (status != SD_OK)
        refuse(c, status);
    return advance(c);
}

static void serve(int listener, int signals)
{
    struct epoll_event events[256];
    sd_completion *done;
    int ep = epoll_create1(EPOLL_CLOEXEC), n, i, waiting = 0;
    http_watch(ep, listener, &listener, EPOLLIN | EPOLLET);
    http_watch(ep, signals, &signals, EPOLLIN);
    http_watch(ep, sd_cq_fd(cq), cq, EPOLLIN);
    for (;;) {
        n = epoll_wait(ep, events, 256, -1);
        for (i = 0; i < n; i++) {
            void *what = events[i].data.ptr;
            if (what == &signals)
                return;
            if (what == &listener)
                waiting = 1; /* there may be clients to accept */
            else if (what != cq && !advance(what))
                drop(what);
        }
        /* Last, for it may free what an event points to, and not without end. */
        for (i = 0; i < 256 && sd_cq_next(cq, 0, &done, NULL) == SD_OK; i++) {
            void *c = (void *)(uintptr_t)sd_completion_tag(done);
            if (!completed(c, done))
                drop(c);
            sd_completion_free(done);
        }
        waiting = waiting && !http_accept_all(ep, listener, sizeof(struct conn));
    }
}

int main(int argc, char **argv)
{
    sd_params *params = NULL;
    sd_error *err = NULL;
    int listener, signals = http_stop_signals();

    if (argc != 4)
        return fprintf(stderr, "usage: epoll_server DRIVER PARAMS-JSON PORT\n"), 2;
    if (sd_params_from_json(argv[2], &params, &err) || sd_cq_new(&cq, &err) ||
        sd_factory_create(argv[1], NULL, params, &driver, &err))
        return fprintf(stderr, "epoll_server: %s\n", sd_error_message(err)), 1;
    sd_params_free(params);
    if ((listener = http_listen((uint16_t)atoi(argv[3]))) < 0)
        return perror("epoll_server: listen"), 1;
    serve(listener, signals);
    sd_cq_free(cq); /* waits for the calls in flight: no buffer is lent any more */
    while (http_any())
        drop(http_any());
    sd_driver_free(driver);
    return sd_runtime_shutdown(10000, NULL) == SD_OK ? 0 : 1;
}
