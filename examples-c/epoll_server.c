/* epoll_server - serve the files of a store over HTTP from one thread.
 *
 *   epoll_server filesystem '{"rootdirectory":"/srv/store"}' 8080
 *   curl http://127.0.0.1:8080/path/of/object
 *
 * Nothing here blocks: every call of the store goes through a completion queue,
 * whose descriptor sits in the same epoll set as the sockets. A connection has one
 * call in flight at most, and its address is the call's tag. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <storagedriver.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum state { REQUEST, STAT, OPEN, READ, SEND };

struct conn {
    int fd, gone, head; /* gone: the client left while a call was in flight */
    enum state state;
    char path[2048], in[4096], out[64 * 1024];
    size_t in_len, out_len, out_off;
    sd_reader *reader;
    uint64_t left; /* bytes of the file not read yet */
};

static int ep;
static sd_driver *driver;
static sd_cq *cq;

static void watch(struct conn *c, uint32_t events, int how)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(ep, how, c->fd, &e);
}

static void drop(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1, c->gone = 1;
    if (c->state != REQUEST && c->state != SEND)
        return; /* until its call has ended */
    sd_reader_free(c->reader);
    free(c);
}

static void answer(struct conn *c, const char *status, uint64_t length)
{
    c->out_len = (size_t)snprintf(c->out, sizeof c->out,
                                  "HTTP/1.1 %s\r\nContent-Length: %llu\r\n\r\n", status,
                                  (unsigned long long)length);
    c->out_off = 0, c->state = SEND;
}

/* Submits the call that `state` names; false if the store refuses it at once. */
static int submit(struct conn *c, enum state state)
{
    uint64_t tag = (uint64_t)(uintptr_t)c;
    sd_status s;

    if (state == STAT)
        s = sd_submit_stat(cq, tag, driver, NULL, c->path, NULL);
    else if (state == OPEN)
        s = sd_submit_reader_open(cq, tag, driver, NULL, c->path, 0, NULL);
    else
        s = sd_submit_reader_read(cq, tag, c->reader, c->out, sizeof c->out, NULL);
    if (s == SD_OK)
        c->state = state;
    return s == SD_OK;
}

/* Sends what is there, then reads on; false once the client is gone. */
static int flush(struct conn *c)
{
    while (c->out_off < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
        if (n < 0)
            return watch(c, EPOLLOUT, EPOLL_CTL_MOD), 1; /* later, or an EPOLLHUP */
        c->out_off += (size_t)n;
    }
    if (c->left > 0)
        return submit(c, c->reader ? READ : OPEN);
    sd_reader_free(c->reader);
    c->reader = NULL, c->state = REQUEST;
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
    return 1;
}

static int request(struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - 1 - c->in_len, 0);
    char method[8], *end;
    if (n <= 0)
        return 0;
    c->in[c->in_len += (size_t)n] = 0;
    if (!(end = strstr(c->in, "\r\n\r\n")))
        return c->in_len < sizeof c->in - 1;
    if (sscanf(c->in, "%7s %2047s HTTP/1.", method, c->path) != 2)
        return 0;
    c->in_len -= (size_t)(end + 4 - c->in);
    memmove(c->in, end + 4, c->in_len);
    c->head = strcmp(method, "HEAD") == 0;
    watch(c, 0, EPOLL_CTL_MOD); /* silent until the store has answered */
    if (!c->head && strcmp(method, "GET") != 0)
        answer(c, "405 Method Not Allowed", 0);
    else if (!submit(c, STAT))
        answer(c, "503 Service Unavailable", 0);
    return 1;
}

/* Goes on with what a call of the store brought; false to end the connection. */
static int completed(struct conn *c, sd_completion *done)
{
    enum state was = c->state;
    sd_status status = sd_completion_status(done);
    sd_file_info *info;

    c->state = SEND;
    if (was == OPEN && status == SD_OK)
        c->reader = sd_completion_take_reader(done);
    if (c->gone)
        return 0;
    if (was == STAT) {
        info = sd_completion_take_file_info(done);
        if (info && !(info->flags & SD_INFO_DIR)) {
            answer(c, "200 OK", info->size);
            c->left = c->head ? 0 : info->size;
        } else if (info || status == SD_ERR_PATH_NOT_FOUND) {
            answer(c, "404 Not Found", 0);
        } else {
            answer(c, status == SD_ERR_INVALID_PATH ? "400 Bad Request" : "500 Error", 0);
        }
        sd_file_info_free(info);
    } else if (was == READ) {
        c->out_len = (size_t)sd_completion_count(done), c->out_off = 0;
        if (c->out_len == 0)
            return 0; /* failed, or shorter than was promised */
        c->left -= c->out_len < c->left ? c->out_len : c->left;
    }
    return (was != OPEN || status == SD_OK) && flush(c);
}

static void take_completions(void)
{
    sd_completion *done;

    while (sd_cq_next(cq, 0, &done, NULL) == SD_OK) {
        struct conn *c = (struct conn *)(uintptr_t)sd_completion_tag(done);
        if (!completed(c, done))
            drop(c);
        sd_completion_free(done);
    }
}

int main(int argc, char **argv)
{
    sd_params *params = NULL;
    sd_error *err = NULL;
    struct rlimit files;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (argc != 4)
        return fprintf(stderr, "usage: epoll_server DRIVER PARAMS-JSON PORT\n"), 2;
    if (sd_params_from_json(argv[2], &params, &err) || sd_cq_new(&cq, &err) ||
        sd_factory_create(argv[1], NULL, params, &driver, &err))
        return fprintf(stderr, "%s\n", sd_error_message(err)), 1;
    sd_params_free(params);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    at.sin_port = htons((uint16_t)atoi(argv[3]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096))
        return perror("bind"), 1;
    getsockname(listener, (void *)&at, &at_len);
    printf("listening on 127.0.0.1:%d\n", ntohs(at.sin_port)), fflush(stdout);

    ep = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(ep, EPOLL_CTL_ADD, listener,
              &(struct epoll_event){.events = EPOLLIN, .data.ptr = &at});
    epoll_ctl(ep, EPOLL_CTL_ADD, sd_cq_fd(cq),
              &(struct epoll_event){.events = EPOLLIN, .data.ptr = cq});
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(ep, events, 256, -1);

        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (events[i].data.ptr == &at) {
                int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0 || !(c = calloc(1, sizeof *c)))
                    continue;
                c->fd = fd;
                watch(c, EPOLLIN, EPOLL_CTL_ADD);
            } else if (events[i].data.ptr != cq) {
                int alive = !(events[i].events & (EPOLLHUP | EPOLLERR));
                if (alive && c->state == REQUEST)
                    alive = request(c);
                if (alive && c->state == SEND)
                    alive = flush(c);
                if (!alive)
                    drop(c);
            }
        }
        take_completions(); /* last: it may free what an event of this round points to */
    }
}
