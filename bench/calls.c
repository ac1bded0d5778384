/* System calls of one run, counted by a tracing parent between two markers. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/ptrace.h>
#include <unistd.h>

enum { HIGHEST = 512 };

static const struct {
    long number;
    const char *name;
} NAMES[] = {
    {SYS_openat2, "openat2"},
    {SYS_openat, "openat"},
    {SYS_read, "read"},
    {SYS_pread64, "pread"},
    {SYS_write, "write"},
    {SYS_pwrite64, "pwrite"},
    {SYS_fsync, "fsync"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_linkat, "linkat"},
    {SYS_renameat, "renameat"},
    {SYS_renameat2, "renameat2"},
    {SYS_close, "close"},
    {SYS_fstat, "fstat"},
    {SYS_newfstatat, "fstatat"},
    {SYS_statx, "statx"},
    {SYS_getdents64, "getdents"},
    {SYS_mmap, "mmap"},
    {SYS_munmap, "munmap"},
    {SYS_brk, "brk"},
    {SYS_madvise, "madvise"},
    {SYS_unlinkat, "unlinkat"},
    {SYS_flock, "flock"},
    {SYS_futex, "futex"},
    {SYS_mremap, "mremap"},
    {SYS_ftruncate, "ftruncate"},
    {SYS_fcntl, "fcntl"},
    {SYS_lseek, "lseek"},
    {SYS_mkdirat, "mkdirat"},
    {SYS_fadvise64, "fadvise"},
#ifdef SYS_rename
    {SYS_rename, "rename"},
    {SYS_stat, "stat"},
    {SYS_open, "open"},
    {SYS_link, "link"},
    {SYS_unlink, "unlink"},
    {SYS_rmdir, "rmdir"},
    {SYS_lstat, "lstat"},
#endif
};

/* Nothing else here makes this call. */
static void marker(void)
{
    syscall(SYS_getsid, 0);
}

static void traced(struct env *env, enum side side)
{
    if (env->work->reset)
        env->work->reset(env, side);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(2);
    raise(SIGSTOP);
    marker();
    env->work->run[side](env, side);
    marker();
    _exit(0);
}

/* Counts by number; false if the child could not be traced to its end. */
static bool trace(pid_t child, size_t counts[HIGHEST])
{
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return false;
    ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    int markers = 0;
    int deliver = 0;
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, child, NULL, deliver) != 0)
            return false;
        deliver = 0;
        if (waitpid(child, &status, 0) != child || WIFSIGNALED(status))
            return false;
        if (WIFEXITED(status))
            return WEXITSTATUS(status) == 0 && markers == 2;
        if (!WIFSTOPPED(status))
            continue;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            deliver = WSTOPSIG(status);
            continue;
        }
        struct __ptrace_syscall_info info;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) <= 0)
            return false;
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        if (info.entry.nr == SYS_getsid)
            markers++;
        else if (markers == 1)
            counts[info.entry.nr < HIGHEST ? info.entry.nr : HIGHEST - 1]++;
    }
}

static void add_name(struct side_result *result, size_t number, double each)
{
    char name[24];
    snprintf(name, sizeof name, "#%zu", number);
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (NAMES[i].number == (long)number)
            snprintf(name, sizeof name, "%s", NAMES[i].name);
    size_t used = strlen(result->call_names);
    const char *comma = used > 0 ? ", " : "";
    size_t room = sizeof result->call_names - used;
    if (each > 0.995 && each < 1.005)
        snprintf(result->call_names + used, room, "%s%s", comma, name);
    else
        snprintf(result->call_names + used, room, "%s%s x%.3g", comma, name, each);
}

void count_calls(struct env *env, enum side side, struct side_result *result)
{
    static size_t counts[HIGHEST];
    memset(counts, 0, sizeof counts);
    result->calls = -1;
    result->call_names[0] = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        traced(env, side);
    if (child < 0)
        die("fork: %s", strerror(errno));
    bool counted = trace(child, counts);
    if (!counted) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        return;
    }
    result->calls = 0;
    for (size_t number = 0; number < HIGHEST; number++) {
        double each = (double)counts[number] / (double)env->ops;
        result->calls += each;
        if (each > 0.005)
            add_name(result, number, each);
    }
}
