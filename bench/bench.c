/* bench [--dir DIR]... [--rounds N] [--quick] [--json] [--no-calls] [--only TEXT]
 *       [--count-syscalls CASE]
 *
 * Prints what each operation costs in CPU time through the library and in plain C,
 * as Markdown or, with --json, as JSON. --only takes the cases whose group or name
 * contains TEXT. --count-syscalls runs the library's side of one case, "filesystem
 * get", once between two calls of getsid(0), for strace. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_RESULTS = 256 };
static struct result results[MAX_RESULTS];
static size_t result_count;

static const struct bench_case *const LISTS[] = {small_cases, stream_cases, tree_cases,
                                                 growth_cases};

/* The directory of the case that is running. */
static char *scratch_path;

static void end_scratch(void)
{
    if (scratch_path)
        remove_tree(scratch_path);
    free(scratch_path);
    scratch_path = NULL;
}

/* A directory of our own below `dir`, which goes with the process at the latest. */
static const char *scratch(const char *dir)
{
    if (asprintf(&scratch_path, "%s/storagedriver-bench.XXXXXX", dir) < 0 ||
        !mkdtemp(scratch_path))
        die("%s: %s", dir, strerror(errno));
    return scratch_path;
}

static void run_case(const struct bench_case *work, const char *dir,
                     const struct options *options)
{
    const size_t *scales = options->quick ? work->quick_scales : work->scales;
    for (size_t i = 0; i < SCALES && (i == 0 || scales[i]); i++) {
        if (result_count == MAX_RESULTS)
            die("too many results");
        if (!options->json)
            fprintf(stderr, "\r\033[K%s: %s", work->group, work->name);
        measure(work, dir ? scratch(dir) : NULL, scales[i], options,
                &results[result_count++]);
        end_scratch();
    }
}

static bool wanted(const struct bench_case *work, const char *text)
{
    return !text || strstr(work->group, text) || strstr(work->name, text);
}

/* The temp directory, and memory beside it where that is another file system
 * with room. */
static void default_dirs(struct options *options)
{
    const char *temp = getenv("TMPDIR");
    options->dirs[options->dir_count++] = temp && *temp ? temp : "/tmp";
    struct statvfs room;
    if (strcmp(file_system(options->dirs[0]), "tmpfs") != 0 &&
        access("/dev/shm", W_OK) == 0 && statvfs("/dev/shm", &room) == 0 &&
        room.f_bavail * room.f_frsize > 4096 * MIB)
        options->dirs[options->dir_count++] = "/dev/shm";
}

static void count_only(const char *text, const struct options *options)
{
    for (size_t list = 0; list < sizeof LISTS / sizeof *LISTS; list++)
        for (const struct bench_case *work = LISTS[list]; work->name; work++) {
            char name[256];
            snprintf(name, sizeof name, "%s %s", work->driver, work->name);
            if (strcmp(text, name) != 0)
                continue;
            bool files = strcmp(work->driver, "filesystem") == 0;
            const char *dir = files ? scratch(options->dirs[0]) : NULL;
            struct env env;
            env_open(&env, work, dir,
                     options->quick ? work->quick_scales[0] : work->scales[0],
                     options->quick);
            work->setup(&env, LIBRARY);
            for (int turn = 0; turn < 2; turn++) {
                if (work->reset)
                    work->reset(&env, LIBRARY);
                if (turn == 1)
                    syscall(SYS_getsid, 0);
                work->run[LIBRARY](&env, LIBRARY);
            }
            syscall(SYS_getsid, 0);
            printf("%zu operations\n", env.ops);
            env_close(&env);
            return;
        }
    die("no case is called \"%s\": driver and name, as \"filesystem get\"", text);
}

static const char *value(int argc, char **argv, int *at)
{
    if (++*at >= argc)
        die("%s needs a value", argv[*at - 1]);
    return argv[*at];
}

int main(int argc, char **argv)
{
    struct options options = {.rounds = 0};
    atexit(end_scratch);
    const char *count = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dir") == 0 && options.dir_count < 4)
            options.dirs[options.dir_count++] = value(argc, argv, &i);
        else if (strcmp(argv[i], "--rounds") == 0)
            options.rounds = atoi(value(argc, argv, &i));
        else if (strcmp(argv[i], "--quick") == 0)
            options.quick = true;
        else if (strcmp(argv[i], "--json") == 0)
            options.json = true;
        else if (strcmp(argv[i], "--no-calls") == 0)
            options.no_calls = true;
        else if (strcmp(argv[i], "--only") == 0)
            options.only = value(argc, argv, &i);
        else if (strcmp(argv[i], "--count-syscalls") == 0)
            count = value(argc, argv, &i);
        else
            die("unknown option %s", argv[i]);
    }
    if (options.rounds == 0)
        options.rounds = options.quick ? 1 : 7;
    if (options.rounds < 1 || options.rounds > MAX_ROUNDS)
        die("--rounds is 1 to %d", MAX_ROUNDS);
    if (options.dir_count == 0)
        default_dirs(&options);
    if (count) {
        count_only(count, &options);
        return 0;
    }
    for (size_t list = 0; list < sizeof LISTS / sizeof *LISTS; list++)
        for (size_t dir = 0; dir < options.dir_count; dir++)
            for (const struct bench_case *work = LISTS[list]; work->name; work++) {
                bool files = strcmp(work->driver, "filesystem") == 0;
                if (wanted(work, options.only) && (files || dir == 0))
                    run_case(work, files ? options.dirs[dir] : NULL, &options);
            }
    if (!options.json)
        fprintf(stderr, "\r\033[K");
    if (options.json)
        print_json(results, result_count);
    else
        print_table(results, result_count, options.quick);
    return 0;
}
