/* epoll_http - what epoll_server needs besides a store: sockets that do not block, and
 * as much of HTTP/1.1 as GET and HEAD without a body. Nothing here is about
 * libstoragedriver. */
#ifndef EPOLL_HTTP_H
#define EPOLL_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#define HTTP_BLOCK ((size_t)256 << 10) /* of a reply, in memory at a time */

/* A client; the first member of what the server keeps for it. */
struct http {
    LIST_ENTRY(http) others;
    int fd, head, last; /* last: no further request is taken */
    enum { HTTP_READING, HTTP_WRITING, HTTP_DRAINING } state;
    char path[2048], in[4096];
    char *out; /* HTTP_BLOCK bytes while there is a reply; out_len of them are to go */
    size_t in_len, out_len, out_off, drained;
};

enum http_event {
    HTTP_WAIT,    /* the kernel said EAGAIN */
    HTTP_GONE,    /* end the connection */
    HTTP_REQUEST, /* `path` is asked for: http_answer it */
    HTTP_SENT     /* `out` is sent and empty: fill it, or http_done */
};

/* A socket that listens on the loopback interface, or -1; says so on standard output. */
int http_listen(uint16_t port);
/* A descriptor that is readable after SIGINT or SIGTERM, which do nothing else. */
int http_stop_signals(void);
void http_watch(int ep, int fd, void *what, uint32_t events);
/* Takes the clients that wait, each in `size` zeroed bytes and watched edge-triggered.
 * False if some may still wait: for descriptors, a third of which is for clients. */
int http_accept_all(int ep, int listener, size_t size);
/* Any client there is, or NULL. */
void *http_any(void);
void http_close(struct http *h);

/* Goes as far as socket and caller allow; not to be called while `out` is lent. */
enum http_event http_advance(struct http *h);
/* Makes the head of the reply. Returns how many bytes must follow it in `out`. */
uint64_t http_answer(struct http *h, int status, uint64_t length);
/* The reply is out: on to the next request, or to the client's end. */
void http_done(struct http *h);

#endif
