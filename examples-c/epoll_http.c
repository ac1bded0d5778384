/* See epoll_http.h. Sockets are watched edge-triggered, so each is read or written
 * until the kernel says EAGAIN. */
#define _GNU_SOURCE
#include "epoll_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define DRAIN_MAX (1u << 20) /* of a refused body, read before closing */

static LIST_HEAD(, http) clients = LIST_HEAD_INITIALIZER(clients);
static rlim_t clients_now, clients_max;

int http_listen(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_len = sizeof at;
    struct rlimit files;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    /* One for its socket and two for its call, so that no call ends for want of one. */
    clients_max = files.rlim_cur < 35 ? 1 : (files.rlim_cur - 32) / 3;
    at.sin_port = htons(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* clients inherit it */
    if (bind(fd, (void *)&at, sizeof at) || listen(fd, 4096) ||
        getsockname(fd, (void *)&at, &at_len))
        return -1;
    printf("listening on 127.0.0.1:%d\n", ntohs(at.sin_port)), fflush(stdout);
    return fd;
}

int http_stop_signals(void)
{
    sigset_t stop;

    sigemptyset(&stop), sigaddset(&stop, SIGINT), sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    return signalfd(-1, &stop, SFD_CLOEXEC);
}

void http_watch(int ep, int fd, void *what, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = what};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

int http_accept_all(int ep, int listener, size_t size)
{
    int fd;

    while (clients_now < clients_max) {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return errno == EAGAIN;
        struct http *h = calloc(1, size);
        if (h == NULL) {
            close(fd);
            continue;
        }
        h->fd = fd;
        LIST_INSERT_HEAD(&clients, h, others);
        clients_now++;
        http_watch(ep, fd, h, EPOLLIN | EPOLLOUT | EPOLLET);
    }
    return 0;
}

void *http_any(void)
{
    return LIST_FIRST(&clients);
}

void http_close(struct http *h)
{
    LIST_REMOVE(h, others);
    clients_now--;
    close(h->fd);
    free(h->out);
    free(h);
}

uint64_t http_answer(struct http *h, int status, uint64_t length)
{
    const char *text = status == 200   ? "OK"
                       : status == 400 ? "Bad Request"
                       : status == 404 ? "Not Found"
                       : status == 405 ? "Method Not Allowed\r\nAllow: GET, HEAD"
                       : status == 413 ? "Content Too Large"
                       : status == 431 ? "Request Header Fields Too Large"
                                       : "Internal Server Error";

    h->out_len = (size_t)snprintf(
        h->out, HTTP_BLOCK, "HTTP/1.1 %d %s\r\nContent-Length: %llu\r\n%s\r\n", status,
        text, (unsigned long long)length, h->last ? "Connection: close\r\n" : "");
    h->out_off = 0;
    return h->head ? 0 : length;
}

void http_done(struct http *h)
{
    free(h->out);
    h->out = NULL, h->state = HTTP_READING;
    if (h->last) { /* closing with bytes unread would take the reply away */
        shutdown(h->fd, SHUT_WR);
        h->state = HTTP_DRAINING, h->in_len = h->drained = 0;
    }
}

/* Takes one request from `in`. What is no request of ours is answered here. */
static enum http_event request(struct http *h)
{
    char method[8], *length, *end = strstr(h->in, "\r\n\r\n");
    int minor, error = 0;

    if (!end && h->in_len < sizeof h->in - 1)
        return HTTP_WAIT; /* not complete yet */
    h->head = 0, h->last = 1;
    if ((h->out = malloc(HTTP_BLOCK)) == NULL)
        return HTTP_SENT;
    h->state = HTTP_WRITING;
    if (end)
        end[2] = 0; /* the head alone, for strcasestr */
    if (!end)
        error = 431;
    else if (sscanf(h->in, "%7[A-Z] %2047[^ \r\n] HTTP/1.%1d", method, h->path, &minor) !=
             3)
        error = 400;
    else if (!(h->head = !strcmp(method, "HEAD")) && strcmp(method, "GET") != 0)
        error = 405;
    else if (strcasestr(h->in, "\ntransfer-encoding:") ||
             ((length = strcasestr(h->in, "\ncontent-length:")) &&
              length[16 + strspn(length + 16, " \t0")] != '\r'))
        error = 413; /* or the body would be the next request */
    if (error)
        return http_answer(h, error, 0), HTTP_WAIT;
    h->last = minor == 0 || strcasestr(h->in, "\nconnection: close") != NULL;
    h->in_len -= (size_t)(end + 4 - h->in);
    memmove(h->in, end + 4, h->in_len + 1); /* the requests behind it */
    return HTTP_REQUEST;
}

enum http_event http_advance(struct http *h)
{
    enum http_event event;
    ssize_t n;

    for (;;) {
        if (h->state == HTTP_WRITING) {
            if (h->out_off == h->out_len)
                return h->out_off = h->out_len = 0, HTTP_SENT;
            n = send(h->fd, h->out + h->out_off, h->out_len - h->out_off, MSG_NOSIGNAL);
            if (n < 0)
                return errno == EAGAIN ? HTTP_WAIT : HTTP_GONE;
            h->out_off += (size_t)n;
            continue;
        }
        if (h->state == HTTP_READING && (event = request(h)) != HTTP_WAIT)
            return event;
        if (h->state == HTTP_WRITING)
            continue;
        n = recv(h->fd, h->in + h->in_len, sizeof h->in - 1 - h->in_len, 0);
        if (n <= 0)
            return n < 0 && errno == EAGAIN ? HTTP_WAIT : HTTP_GONE;
        if (h->state == HTTP_READING)
            h->in[h->in_len += (size_t)n] = 0;
        else if ((h->drained += (size_t)n) > DRAIN_MAX)
            return HTTP_GONE;
    }
}
