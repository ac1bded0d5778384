/* How processes and threads that use the library may live and end. The first argument
 * names the story; each ends with exit code 0. */
#include "../c/harness.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>

static sd_driver *driver;
static sd_cq *cq;

static void must(sd_status status, int line)
{
    if (status != SD_OK) {
        fprintf(stderr, "line %d: %s\n", line, sd_status_name(status));
        _exit(1);
    }
}
#define MUST(call) must((call), __LINE__)
#define NEED(cond) must((cond) ? SD_OK : SD_ERR_INTERNAL, __LINE__)

static void open_all(void)
{
    MUST(sd_factory_create("inmemory", NULL, NULL, &driver, NULL));
    MUST(sd_put_content(driver, NULL, "/a", "abc", 3, NULL));
    MUST(sd_cq_new(&cq, NULL));
}
/* Calls by the hundred, of which so many are waited for. */
static void keep_busy(int wait_for)
{
    sd_completion *c = NULL;
    for (uint64_t tag = 0; tag < 500; tag++)
        MUST(sd_submit_get_content(cq, tag, driver, NULL, "/a", NULL));
    for (int i = 0; i < wait_for; i++) {
        MUST(sd_cq_next(cq, -1, &c, NULL));
        MUST(sd_completion_status(c));
        sd_completion_free(c);
    }
}
static void close_all(void)
{
    sd_cq_free(cq);
    sd_driver_free(driver);
}

/* ---- threads ---- */

static sd_reader *reader;
static sd_writer *writer;
static sd_walker *walker;
static sd_error *error;
static char lent[4];

static void *open_and_end(void *user)
{
    open_all();
    MUST(sd_reader_open(driver, NULL, "/a", 0, &reader, NULL));
    MUST(sd_writer_open(driver, NULL, "/w", 0, &writer, NULL));
    MUST(sd_walker_open(driver, NULL, "/", NULL, &walker, NULL));
    NEED(sd_stat(driver, NULL, "/no", &(sd_file_info *){NULL}, &error) ==
         SD_ERR_PATH_NOT_FOUND);
    MUST(sd_submit_reader_read(cq, 1, reader, lent, 3, NULL));
    return user;
}
static void let_a_thread_open_and_end(void)
{
    pthread_t thread;
    NEED(!pthread_create(&thread, NULL, open_and_end, NULL));
    pthread_join(thread, NULL);
}
static void a_thread_ends_while_it_owns_handles_and_another_frees_them(void)
{
    sd_completion *c = NULL;
    sd_file_info *info = NULL;
    let_a_thread_open_and_end();
    MUST(sd_cq_next(cq, -1, &c, NULL));
    MUST(sd_completion_status(c));
    NEED(strcmp(lent, "abc") == 0 && *sd_error_message(error));
    sd_completion_free(c);
    MUST(sd_writer_write(writer, "x", 1, NULL));
    MUST(sd_writer_commit(writer, NULL, NULL));
    MUST(sd_walker_next(walker, &info, NULL));
    sd_file_info_free(info);
    sd_error_free(error);
    sd_reader_free(reader);
    sd_writer_free(writer);
    sd_walker_free(walker);
    close_all();
}

/* The variables keep them, so that no leak checker minds. */
static void a_thread_ends_while_it_owns_handles_that_nobody_frees(void)
{
    sd_completion *c = NULL;
    let_a_thread_open_and_end();
    MUST(sd_cq_next(cq, -1, &c, NULL));
    sd_completion_free(c);
    MUST(sd_runtime_shutdown(60000, NULL));
}

/* ---- ends of a process without a shutdown ---- */

static void return_from_main(void)
{
    open_all();
    keep_busy(3);
}
static void use_at_exit(void)
{
    sd_file_info *info = NULL;
    MUST(sd_stat(driver, NULL, "/a", &info, NULL));
    sd_file_info_free(info);
    keep_busy(500);
    close_all();
}
static void exit_with_a_handler_that_uses_the_library(void)
{
    open_all();
    keep_busy(500);
    atexit(use_at_exit);
    exit(0);
}
static void *exit_here(void *user)
{
    keep_busy(1);
    exit(0);
    return user;
}
static void exit_from_another_thread(void)
{
    pthread_t thread;
    open_all();
    NEED(!pthread_create(&thread, NULL, exit_here, NULL));
    pthread_join(thread, NULL);
    _exit(1);
}
static void *wait_for_ever(void *idle)
{
    sd_completion *c = NULL;
    sd_cq_next(idle, -1, &c, NULL);
    return NULL;
}
static void exit_while_a_thread_waits_for_a_completion(void)
{
    pthread_t thread;
    sd_cq *idle = NULL;
    open_all();
    MUST(sd_cq_new(&idle, NULL));
    NEED(!pthread_create(&thread, NULL, wait_for_ever, idle));
    keep_busy(1);
    exit(0);
}

/* ---- signals ---- */

static void signals_stay_as_they_were(void)
{
    struct sigaction before[65], after;
    sigset_t mask_before, mask;
    memset(before, 0, sizeof before);
    for (int s = 1; s < 65; s++)
        sigaction(s, NULL, &before[s]);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    open_all();
    keep_busy(500);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (int s = 1; s < 65; s++) {
        memset(&after, 0, sizeof after);
        if (sigaction(s, NULL, &after))
            continue;
        NEED(after.sa_handler == before[s].sa_handler &&
             after.sa_flags == before[s].sa_flags);
        NEED(sigismember(&mask, s) == sigismember(&mask_before, s));
    }
    /* The threads of the library leave a process's signals to the host's. */
    const unsigned long long synchronous = 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) |
                                           1ull << (SIGILL - 1) | 1ull << (SIGFPE - 1) |
                                           1ull << (SIGTRAP - 1) | 1ull << (SIGSYS - 1);
    int seen = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(tasks));) {
        char path[300], line[200];
        unsigned long long blocked = 0;
        int ours = 0;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *status = *entry->d_name == '.' ? NULL : fopen(path, "r");
        while (status && fgets(line, sizeof line, status)) {
            ours |= strncmp(line, "Name:\tsd-", 9) == 0;
            sscanf(line, "SigBlk: %llx", &blocked);
        }
        if (status)
            fclose(status);
        seen += ours;
        for (int s = 1; ours && s < 32; s++) {
            int block = s != SIGKILL && s != SIGSTOP && !(synchronous >> (s - 1) & 1);
            NEED((int)(blocked >> (s - 1) & 1) == block);
        }
    }
    closedir(tasks);
    NEED(seen > 0);
    close_all();
}
/* The reader of a pipe goes: as ever, that ends a program that has not said otherwise. */
static void a_broken_pipe_of_the_hosts_own_still_ends_it(void)
{
    int ends[2], status = 0;
    pid_t child;
    open_all();
    keep_busy(500);
    NEED(pipe(ends) == 0);
    close(ends[0]);
    if ((child = fork()) == 0) {
        (void)!write(ends[1], "x", 1);
        _exit(0);
    }
    NEED(waitpid(child, &status, 0) == child);
    NEED(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
    close(ends[1]);
    close_all();
}

/* ---- forks ---- */

static void wait_for(pid_t child)
{
    int status = -1;
    NEED(child > 0 && waitpid(child, &status, 0) == child);
    if (status != 0)
        fprintf(stderr, "a child ended with %#x\n", status);
    NEED(status == 0);
}
/* By exit, not _exit: what the C library runs at an end runs in a worker, too. */
static void work_and_exit(void)
{
    alarm(60);
    open_all();
    keep_busy(500);
    close_all();
    exit(0);
}
static void start_workers(void (*work)(void))
{
    pid_t workers[4];
    for (int i = 0; i < 4; i++) {
        if ((workers[i] = fork()) == 0) {
            alarm(60);
            work();
            exit(0);
        }
    }
    for (int i = 0; i < 4; i++)
        wait_for(workers[i]);
}
static void workers_of_a_server_that_forks_before_it_works(void)
{
    sd_runtime_options options = {sizeof options, 1, 2, "worker", NULL, 0};
    MUST(sd_runtime_configure(&options, NULL));
    start_workers(work_and_exit);
    open_all();
    keep_busy(500);
    close_all();
}
/* What the master opened is used by each worker, beside a driver of its own. */
static sd_driver *store;
static void use_the_masters_drivers(void)
{
    sd_buffer *content = NULL;
    char path[40];
    snprintf(path, sizeof path, "/of/%ld", (long)getpid());
    sd_driver *const masters[] = {driver, store};
    for (int i = 0; i < 2; i++) {
        for (int round = 0; round < 50; round++) {
            MUST(sd_put_content(masters[i], NULL, path, path, strlen(path), NULL));
            MUST(sd_put_content(masters[i], NULL, "/of/all", "all", 3, NULL));
        }
        MUST(sd_get_content(masters[i], NULL, path, &content, NULL));
        NEED(strcmp((const char *)sd_buffer_data(content), path) == 0);
        sd_buffer_free(content);
        NEED(sd_cq_next(cq, 0, &(sd_completion *){NULL}, NULL) == SD_ERR_FORKED);
    }
    close_all();
    sd_driver_free(store);
    work_and_exit();
}
static void workers_of_a_server_whose_master_has_drivers(void)
{
    sd_names *names = NULL;
    open_all();
    store = make_driver("filesystem");
    MUST(sd_put_content(store, NULL, "/of/all", "one", 3, NULL));
    MUST(sd_put_content(store, NULL, "/of/all", "two", 3, NULL));
    start_workers(use_the_masters_drivers);
    /* A store in memory is each process's own, one of files is everybody's. */
    NEED(sd_list(driver, NULL, "/of", &names, NULL) == SD_ERR_PATH_NOT_FOUND);
    MUST(sd_list(store, NULL, "/of", &names, NULL));
    NEED(sd_names_count(names) == 5);
    sd_names_free(names);
    sd_driver_free(store);
    remove_files();
    close_all();
}
static void workers_of_a_server_that_forks_while_it_works(void)
{
    open_all();
    for (int i = 0; i < 20; i++) {
        keep_busy(100);
        pid_t child = fork();
        if (child == 0) {
            sd_completion *c = NULL;
            sd_buffer *content = NULL;
            alarm(60);
            NEED(sd_cq_next(cq, -1, &c, NULL) == SD_ERR_FORKED);
            NEED(sd_submit_stat(cq, 1, driver, NULL, "/", NULL) == SD_ERR_FORKED);
            NEED(sd_cq_in_flight(cq) == 0);
            sd_cq_free(cq);
            /* A thread was inside the driver at the fork, or it works. */
            sd_status status = sd_get_content(driver, NULL, "/a", &content, NULL);
            NEED(status == SD_OK || status == SD_ERR_FORKED);
            if (status == SD_OK)
                sd_buffer_free(content);
            sd_driver_free(driver);
            work_and_exit();
        }
        wait_for(child);
        sd_completion *c = NULL;
        for (int taken = 0; taken < 400; taken++) {
            MUST(sd_cq_next(cq, -1, &c, NULL));
            sd_completion_free(c);
        }
    }
    close_all();
}

#define STORY(name)                                                                        \
    if (strcmp(argv[1], #name) == 0)                                                       \
    return name(), 0

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    STORY(a_thread_ends_while_it_owns_handles_and_another_frees_them);
    STORY(a_thread_ends_while_it_owns_handles_that_nobody_frees);
    STORY(return_from_main);
    STORY(exit_with_a_handler_that_uses_the_library);
    STORY(exit_from_another_thread);
    STORY(exit_while_a_thread_waits_for_a_completion);
    STORY(signals_stay_as_they_were);
    STORY(a_broken_pipe_of_the_hosts_own_still_ends_it);
    STORY(workers_of_a_server_that_forks_before_it_works);
    STORY(workers_of_a_server_whose_master_has_drivers);
    STORY(workers_of_a_server_that_forks_while_it_works);
    return 2;
}
