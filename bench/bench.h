/* The library against a plain C loop that does the same, in one run.
 *
 * A case has up to three sides: the library, the floor (C, the same system calls
 * with the same durability and confinement) and plain (C, as one would write it
 * without confinement). A sample is the CPU time of one side's `run`; the sides
 * take turns, each case in a process of its own. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <storagedriver.h>

enum side { LIBRARY, FLOOR, PLAIN, SIDES };
enum { MAX_ROUNDS = 64, SCALES = 3, BLOCK = 4096 };

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

struct bench_case;

/* What a case works on, in its own process. */
struct env {
    const struct bench_case *work;
    const char *dir; /* scratch of this case; NULL for inmemory */
    size_t ops;      /* operations of one run */
    size_t scale;    /* bytes or entries, where the case has sizes */
    sd_driver *driver;
    char roots[SIDES][512]; /* directory of each side below dir */
    int root_fds[SIDES];
    uint8_t *data; /* a MIB of bytes that are not zero */
    char **paths;  /* one for each operation, where needed */
};

struct bench_case {
    const char *group;
    const char *name;
    const char *driver; /* "inmemory" or "filesystem" */
    bool no_fsync;
    bool fresh;  /* each sample in a process of its own */
    bool writes; /* each side needs a directory of its own */
    size_t ops, quick_ops;
    size_t scales[SCALES], quick_scales[SCALES]; /* one, or three to show the growth */
    size_t piece;                                /* bytes of one read or write */
    void (*setup)(struct env *env, enum side side);
    void (*reset)(struct env *env, enum side side); /* before each sample; may be NULL */
    void (*run[SIDES])(struct env *env, enum side side);
    const char *upstream; /* what Distribution in Go costs, measured elsewhere */
    double max_ratio;     /* the target: library / floor, 0 for none */
    double max_ns;        /* the target: CPU of one operation, 0 for none */
    size_t max_rss;       /* the target: peak RSS above the object, 0 for none */
};

struct side_result {
    bool present;
    double min_ns, median_ns; /* of one operation */
    size_t peak_rss;          /* of the process, 0 where not `fresh` */
    double calls;             /* system calls of one operation, -1: not counted */
    char call_names[160];
};

struct result {
    const struct bench_case *work;
    char where[32]; /* file system type, or "" */
    size_t scale;
    struct side_result side[SIDES];
};

struct options {
    const char *dirs[4];
    size_t dir_count;
    int rounds;
    bool quick, json, no_calls;
    const char *only;
};

/* measure.c */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void check(sd_status status, sd_error *error, const char *what);
#define CHECK(call)                                                                        \
    do {                                                                                   \
        sd_error *err = NULL;                                                              \
        check((call), err, #call);                                                         \
    } while (0)
double cpu_ns(void);
void measure(const struct bench_case *work, const char *dir, size_t scale,
             const struct options *options, struct result *result);

/* env.c */
void env_open(struct env *env, const struct bench_case *work, const char *dir, size_t scale,
              bool quick);
void env_close(struct env *env);
void env_paths(struct env *env, const char *format);
void make_parents(const char *root, const char *path);
void write_file(const char *root, const char *path, const void *data, size_t len);
void remove_tree(const char *path);
const char *file_system(const char *dir);

/* calls.c: the system calls of one run, counted by ptrace */
void count_calls(struct env *env, enum side side, struct side_result *result);

/* floor.c: the filesystem in plain C */
int confined_open(int root, const char *path, int flags);
uint8_t *floor_get(int root, const char *path, size_t *len, bool confined);
void floor_stat(int root, const char *path, bool confined);
void floor_put(int root, const char *path, const void *data, size_t len, bool fsync_it);
void floor_overwrite(int root, const char *path, const void *data, size_t len,
                     bool fsync_it);
void plain_put(const char *root, const char *path, const void *data, size_t len,
               bool fsync_it);

/* floor_memory.c: a store in memory in plain C */
void memory_put(const char *path, const void *data, size_t len);
size_t memory_stat(const char *path);
uint8_t *memory_get(const char *path, size_t *len);
void memory_append(const void *data, size_t len);
size_t memory_read(size_t offset, void *buf, size_t cap);
void memory_clear(void);

/* the cases, each list ends with a case without a name */
extern const struct bench_case small_cases[], stream_cases[], tree_cases[], growth_cases[];

/* table.c */
void print_table(const struct result *results, size_t count, bool quick);
void print_json(const struct result *results, size_t count);

#endif
