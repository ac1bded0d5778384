/* Samples: CPU time of this process, the sides in turn, the least of the rounds. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void check(sd_status status, sd_error *error, const char *what)
{
    if (status < 0)
        die("%s: %s %s", what, sd_status_name(status),
            error ? sd_error_message(error) : "");
}

double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec;
}

/* Where a disk is slow, three rounds are enough after 20 seconds, one after 60. */
static bool enough(int rounds, double started)
{
    double passed = seconds() - started;
    return (rounds >= 3 && passed > 20) || (rounds >= 1 && passed > 60);
}

/* What a child tells its parent. */
struct samples {
    int rounds;
    double ns[SIDES][MAX_ROUNDS];
    size_t peak_rss;
    struct side_result counted[SIDES];
};

static double sample(struct env *env, enum side side)
{
    if (env->work->reset)
        env->work->reset(env, side);
    double before = cpu_ns();
    env->work->run[side](env, side);
    return (cpu_ns() - before) / (double)env->ops;
}

static size_t peak_rss(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * KIB;
}

/* Runs `body` in a child, so that neither its heap nor its caches meet those of
 * another case. The parent itself never calls the library. */
static void in_child(void (*body)(void *, struct samples *), void *argument,
                     struct samples *out)
{
    int ends[2];
    if (pipe(ends) != 0)
        die("pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        die("fork: %s", strerror(errno));
    if (child == 0) {
        static struct samples samples;
        close(ends[0]);
        body(argument, &samples);
        const char *next = (const char *)&samples;
        for (size_t left = sizeof samples; left > 0;) {
            ssize_t sent = write(ends[1], next, left);
            if (sent <= 0)
                _exit(1);
            next += sent;
            left -= (size_t)sent;
        }
        _exit(0);
    }
    close(ends[1]);
    size_t filled = 0;
    ssize_t got;
    while (filled < sizeof *out &&
           (got = read(ends[0], (char *)out + filled, sizeof *out - filled)) > 0)
        filled += (size_t)got;
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    if (filled != sizeof *out || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        exit(1);
}

struct job {
    const struct bench_case *work;
    const char *dir;
    size_t scale;
    const struct options *options;
    enum side only;
};

static void all_sides(void *argument, struct samples *out)
{
    struct job *job = argument;
    struct env env;
    env_open(&env, job->work, job->dir, job->scale, job->options->quick);
    for (int side = 0; side < SIDES; side++)
        if (job->work->run[side]) {
            job->work->setup(&env, side);
            sample(&env, side);
        }
    double started = seconds();
    for (; out->rounds < job->options->rounds && !enough(out->rounds, started);
         out->rounds++)
        for (int turn = 0; turn < SIDES; turn++) {
            int side = (out->rounds + turn) % SIDES;
            if (job->work->run[side])
                out->ns[side][out->rounds] = sample(&env, side);
        }
    env_close(&env);
}

static void one_side(void *argument, struct samples *out)
{
    struct job *job = argument;
    struct env env;
    env_open(&env, job->work, job->dir, job->scale, job->options->quick);
    job->work->setup(&env, job->only);
    out->ns[job->only][0] = sample(&env, job->only);
    out->peak_rss = peak_rss();
    env_close(&env);
}

static void calls(void *argument, struct samples *out)
{
    struct job *job = argument;
    struct env env;
    env_open(&env, job->work, job->dir, job->scale, job->options->quick);
    for (int side = 0; side < SIDES; side++)
        if (job->work->run[side]) {
            job->work->setup(&env, side);
            sample(&env, side);
            count_calls(&env, side, &out->counted[side]);
        }
    env_close(&env);
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

void measure(const struct bench_case *work, const char *dir, size_t scale,
             const struct options *options, struct result *result)
{
    struct job job = {work, dir, scale, options, LIBRARY};
    static struct samples samples, one;
    memset(&samples, 0, sizeof samples);
    memset(result, 0, sizeof *result);
    result->work = work;
    result->scale = scale;
    snprintf(result->where, sizeof result->where, "%s", dir ? file_system(dir) : "");
    if (!work->fresh) {
        in_child(all_sides, &job, &samples);
    } else {
        double started = seconds();
        for (; samples.rounds < options->rounds && !enough(samples.rounds, started);
             samples.rounds++)
            for (int turn = 0; turn < SIDES; turn++) {
                int side = (samples.rounds + turn) % SIDES;
                if (!work->run[side])
                    continue;
                job.only = side;
                in_child(one_side, &job, &one);
                samples.ns[side][samples.rounds] = one.ns[side][0];
                size_t *peak = &result->side[side].peak_rss;
                *peak = one.peak_rss > *peak ? one.peak_rss : *peak;
            }
    }
    for (int side = 0; side < SIDES; side++) {
        struct side_result *into = &result->side[side];
        into->calls = -1;
        into->present = work->run[side] != NULL;
        qsort(samples.ns[side], (size_t)samples.rounds, sizeof(double), ascending);
        into->min_ns = samples.ns[side][0];
        into->median_ns = samples.ns[side][samples.rounds / 2];
    }
    if (options->no_calls || work->scales[1])
        return;
    in_child(calls, &job, &samples);
    for (int side = 0; side < SIDES; side++)
        if (work->run[side]) {
            result->side[side].calls = samples.counted[side].calls;
            memcpy(result->side[side].call_names, samples.counted[side].call_names,
                   sizeof samples.counted[side].call_names);
        }
}
