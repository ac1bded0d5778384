/* epoll_server - serve the files of a store over HTTP from one thread.
 *
 *   epoll_server filesystem '{"rootdirectory":"/srv/store"}' 8080
 *   curl http://127.0.0.1:8080/path/of/object
 *
 * Nothing here blocks: every call of the store goes through a completion queue,
 * whose descriptor sits in the same epoll set as the sockets. A connection has one
 * call in flight at most, and its address is the call's tag; it ends only between
 * calls. Sockets are watched edge-triggered: each is read or written until the
 * kernel says EAGAIN. Timeouts are left out: a silent client stays, with 8 KiB. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <storagedriver.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK     ((size_t)256 << 10) /* of a file, in memory for each reply */
#define DRAIN_MAX (1u << 20)          /* of a refused body, read before closing */

enum state { REQUEST, SEND, DRAIN, STAT, OPEN, READ }; /* from STAT on: a call in flight */

struct conn {
    LIST_ENTRY(conn) others;
    int fd, head, last; /* last: no further request is taken */
    enum state state;
    char path[2048], in[4096];
    char *out; /* BLOCK bytes while there is a reply */
    size_t in_len, out_len, out_off;
    sd_reader *reader;
    uint64_t left; /* bytes of the file not read yet; in DRAIN: bytes dropped */
};

static LIST_HEAD(, conn) conns = LIST_HEAD_INITIALIZER(conns);
static int ep, listener, waiting; /* waiting: there may be clients to accept */
static sd_driver *driver;
static sd_cq *cq;

static void watch(int fd, void *what, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = what};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static void drop(struct conn *c)
{
    LIST_REMOVE(c, others);
    close(c->fd);
    sd_reader_free(c->reader);
    free(c->out);
    free(c);
}

static void accept_clients(void)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        if (c == NULL) {
            close(fd);
            continue;
        }
        c->fd = fd;
        LIST_INSERT_HEAD(&conns, c, others);
        watch(fd, c, EPOLLIN | EPOLLOUT | EPOLLET);
    }
    waiting = errno != EAGAIN; /* without a descriptor left: again after each round */
}

/* Makes the head of the reply; what follows it comes from the file. */
static void answer(struct conn *c, const char *status, uint64_t length)
{
    c->out_len = (size_t)snprintf(
        c->out, BLOCK, "HTTP/1.1 %s\r\nContent-Length: %llu\r\n%s\r\n", status,
        (unsigned long long)length, c->last ? "Connection: close\r\n" : "");
    c->out_off = 0, c->left = c->head ? 0 : length, c->state = SEND;
}

static void refuse(struct conn *c, sd_status why)
{
    if (why == SD_ERR_PATH_NOT_FOUND || why == SD_ERR_NOT_DIRECTORY) /* below a file */
        answer(c, "404 Not Found", 0);
    else if (why == SD_ERR_INVALID_PATH || why == SD_ERR_INVALID_ARGUMENT) /* not UTF-8 */
        answer(c, "400 Bad Request", 0);
    else
        answer(c, "500 Internal Server Error", 0);
}

/* Starts one call of the store; completed() goes on with what it brings. */
static sd_status submit(struct conn *c, enum state call)
{
    size_t room = BLOCK - c->out_len;
    uint64_t tag = (uint64_t)(uintptr_t)c;
    sd_status status;

    if (call == STAT)
        status = sd_submit_stat(cq, tag, driver, NULL, c->path, NULL);
    else if (call == OPEN)
        status = sd_submit_reader_open(cq, tag, driver, NULL, c->path, 0, NULL);
    else
        status = sd_submit_reader_read(cq, tag, c->reader, c->out + c->out_len,
                                       c->left < room ? (size_t)c->left : room, NULL);
    if (status == SD_OK)
        c->state = call;
    return status;
}

/* The reply is out: on to the next request, or to the client's end. */
static void replied(struct conn *c)
{
    sd_reader_free(c->reader);
    free(c->out);
    c->reader = NULL, c->out = NULL, c->state = REQUEST;
    if (c->last) { /* closing with bytes unread would take the reply away */
        shutdown(c->fd, SHUT_WR);
        c->state = DRAIN, c->in_len = 0;
    }
}

/* Takes one request from `in`; false if it is not complete yet. */
static int request(struct conn *c)
{
    char method[8], *length, *end = strstr(c->in, "\r\n\r\n");
    const char *error = NULL;
    sd_status status;
    int minor;

    if (!end && c->in_len < sizeof c->in - 1)
        return 0;
    c->head = 0, c->last = 1;
    if ((c->out = malloc(BLOCK)) == NULL)
        return replied(c), 1;
    if (end)
        end[2] = 0; /* the head alone, for strcasestr */
    if (!end)
        error = "431 Request Header Fields Too Large";
    else if (sscanf(c->in, "%7[A-Z] %2047[^ \r\n] HTTP/1.%1d", method, c->path, &minor) !=
             3)
        error = "400 Bad Request";
    else if (!(c->head = !strcmp(method, "HEAD")) && strcmp(method, "GET") != 0)
        error = "405 Method Not Allowed\r\nAllow: GET, HEAD";
    else if (strcasestr(c->in, "\ntransfer-encoding:") ||
             ((length = strcasestr(c->in, "\ncontent-length:")) &&
              length[16 + strspn(length + 16, " \t0")] != '\r'))
        error = "413 Content Too Large"; /* or the body would be the next request */
    if (error)
        return answer(c, error, 0), 1;
    c->last = minor == 0 || strcasestr(c->in, "\nconnection: close") != NULL;
    c->in_len -= (size_t)(end + 4 - c->in);
    memmove(c->in, end + 4, c->in_len + 1); /* the requests behind it */
    if ((status = submit(c, STAT)) != SD_OK)
        refuse(c, status);
    return 1;
}

/* Goes as far as socket and store allow; false to end the connection. */
static int advance(struct conn *c)
{
    ssize_t n;

    while (c->state < STAT) {
        if (c->state == SEND && c->out_off < c->out_len) {
            n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
            if (n < 0)
                return errno == EAGAIN;
            c->out_off += (size_t)n;
        } else if (c->state == SEND && c->left > 0) {
            c->out_off = c->out_len = 0;
            if (submit(c, READ) != SD_OK)
                return 0;
        } else if (c->state == SEND) {
            replied(c);
        } else if (c->state == DRAIN || !request(c)) {
            n = recv(c->fd, c->in + c->in_len, sizeof c->in - 1 - c->in_len, 0);
            if (n <= 0)
                return n < 0 && errno == EAGAIN;
            if (c->state == REQUEST)
                c->in[c->in_len += (size_t)n] = 0;
            else if ((c->left += (size_t)n) > DRAIN_MAX)
                return 0;
        }
    }
    return 1;
}

static int completed(struct conn *c, sd_completion *done)
{
    enum state was = c->state;
    sd_status status = sd_completion_status(done);
    sd_file_info *info;

    c->state = SEND;
    if (was == OPEN)
        c->reader = sd_completion_take_reader(done);
    if (was == READ) {
        size_t n = (size_t)sd_completion_count(done);
        if (n == 0)
            return 0; /* failed, or shorter than was promised */
        c->out_len += n, c->left -= n;
    } else if (status == SD_OK && was == STAT) {
        info = sd_completion_take_file_info(done);
        if (info->flags & SD_INFO_DIR)
            status = SD_ERR_PATH_NOT_FOUND;
        else
            answer(c, "200 OK", info->size);
        sd_file_info_free(info);
        if (status == SD_OK && c->left > 0)
            status = submit(c, OPEN);
    } else if (status == SD_OK) {
        status = submit(c, READ); /* behind the head, to be sent with it */
    }
    if (status != SD_OK)
        refuse(c, status);
    return advance(c);
}

static void take_completions(void)
{
    sd_completion *done;

    /* Not without end: the sockets want their turn, and the queue says so again. */
    for (int i = 0; i < 256 && sd_cq_next(cq, 0, &done, NULL) == SD_OK; i++) {
        struct conn *c = (struct conn *)(uintptr_t)sd_completion_tag(done);
        if (!completed(c, done))
            drop(c);
        sd_completion_free(done);
    }
}

static void serve(const int *signals)
{
    struct epoll_event events[256];

    for (;;) {
        int n = epoll_wait(ep, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (events[i].data.ptr == signals)
                return;
            if (events[i].data.ptr == &listener)
                waiting = 1;
            else if (events[i].data.ptr != cq && !advance(c))
                drop(c);
        }
        take_completions(); /* last: it may free what an event of this round points to */
        if (waiting)
            accept_clients();
    }
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_len = sizeof at;
    int one = 1;

    at.sin_port = htons(port);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one,
               sizeof one); /* clients inherit it */
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096) ||
        getsockname(listener, (void *)&at, &at_len))
        return 0;
    printf("listening on 127.0.0.1:%d\n", ntohs(at.sin_port)), fflush(stdout);
    return 1;
}

int main(int argc, char **argv)
{
    sd_params *params = NULL;
    sd_error *err = NULL;
    struct rlimit files;
    sigset_t stop;
    int signals;

    if (argc != 4)
        return fprintf(stderr, "usage: epoll_server DRIVER PARAMS-JSON PORT\n"), 2;
    sigemptyset(&stop), sigaddset(&stop, SIGINT), sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    if (sd_params_from_json(argv[2], &params, &err) || sd_cq_new(&cq, &err) ||
        sd_factory_create(argv[1], NULL, params, &driver, &err))
        return fprintf(stderr, "epoll_server: %s\n", sd_error_message(err)), 1;
    sd_params_free(params);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (!listen_on((uint16_t)atoi(argv[3])))
        return perror("epoll_server: listen"), 1;

    ep = epoll_create1(EPOLL_CLOEXEC);
    signals = signalfd(-1, &stop, SFD_CLOEXEC);
    watch(listener, &listener, EPOLLIN | EPOLLET);
    watch(signals, &signals, EPOLLIN);
    watch(sd_cq_fd(cq), cq, EPOLLIN);
    serve(&signals);

    close(listener), close(signals), close(ep);
    sd_cq_free(cq); /* waits for the calls in flight: no buffer is lent any more */
    while (!LIST_EMPTY(&conns))
        drop(LIST_FIRST(&conns));
    sd_driver_free(driver);
    return sd_runtime_shutdown(10000, NULL) == SD_OK ? 0 : 1;
}
