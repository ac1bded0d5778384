/* A fuzz target: the input is a sequence of calls on live handles, of one to three
 * threads, by whoever does everything that the header allows and much that it refuses.
 * Use after free and data races are the caller's own fault and do not occur. */
#include "queue.h"

/* Where a call may be made from. */
enum place {
    TOP,     /* not from a callback: it waits for those that run */
    OUTSIDE, /* from a callback, not from a driver's slot, which others wait for */
    ANYWHERE
};
static const struct call {
    void (*make)(struct frame *f);
    enum place place;
} calls[] = {
    {call_version, ANYWHERE},
    {call_error_new, ANYWHERE},
    {call_error_getters, ANYWHERE},
    {call_error_setters, ANYWHERE},
    {call_buffer_new, ANYWHERE},
    {call_value_getters, ANYWHERE},
    {call_names, ANYWHERE},
    {call_file_info_new, ANYWHERE},
    {call_wrong_free, ANYWHERE},
    {call_free, ANYWHERE},
    {call_free, ANYWHERE},
    {call_params_new, ANYWHERE},
    {call_params_set, ANYWHERE},
    {call_params_get, ANYWHERE},
    {call_context_new, ANYWHERE},
    {call_context, ANYWHERE},
    {call_factory_create, OUTSIDE},
    {call_factory_names, ANYWHERE},
    {call_factory_register, ANYWHERE},
    {call_driver_new, ANYWHERE},
    {call_driver, ANYWHERE},
    {call_get_content, OUTSIDE},
    {call_put_content, OUTSIDE},
    {call_put_content, OUTSIDE},
    {call_stat, OUTSIDE},
    {call_list, OUTSIDE},
    {call_check_path, ANYWHERE},
    {call_move, OUTSIDE},
    {call_delete, OUTSIDE},
    {call_redirect_url, OUTSIDE},
    {call_reader_open, OUTSIDE},
    {call_reader_read, OUTSIDE},
    {call_reader_read, OUTSIDE},
    {call_read_stream, OUTSIDE},
    {call_writer_open, OUTSIDE},
    {call_writer_write, OUTSIDE},
    {call_writer_write, OUTSIDE},
    {call_writer_size, ANYWHERE},
    {call_writer_end, OUTSIDE},
    {call_write_stream, OUTSIDE},
    {call_walk, OUTSIDE},
    {call_walker_open, OUTSIDE},
    {call_walker_next, OUTSIDE},
    {call_conformance_run, OUTSIDE},
    {call_cq_new, ANYWHERE},
    {call_cq_state, ANYWHERE},
    {call_cq_free, TOP},
    {call_submit_verb, ANYWHERE},
    {call_submit_verb, ANYWHERE},
    {call_submit_read, ANYWHERE},
    {call_submit_write, ANYWHERE},
    {call_submit_writer_end, ANYWHERE},
    {call_submit_walker_next, ANYWHERE},
    {call_cq_next, ANYWHERE},
    {call_cq_next, ANYWHERE},
    {call_completion, ANYWHERE},
    {call_completion, ANYWHERE},
    {call_wrong_completion, ANYWHERE},
    {call_set_hook, ANYWHERE},
    {call_metrics_text, ANYWHERE},
    {call_runtime_configure, ANYWHERE},
    {call_runtime_shutdown, TOP},
    {call_driver_wrap, OUTSIDE},
    {call_driver_main, ANYWHERE},
};

static void make_call(void)
{
    struct frame f = {0};
    /* New entries at the end leave the old ones, and so the corpus, their numbers. */
    unsigned n = draw() % 128;
    const struct call *call = &calls[n < COUNT(calls) ? n : n % 62];
    enum place here = inside_slot ? ANYWHERE : inside ? OUTSIDE : TOP;
    if (call->place < here)
        call = &calls[0];
    f.odd = draw() >= 208;
    call->make(&f);
    leave_frame(&f);
}
static void call_back(void)
{
    make_call();
}

/* ---- one run ---- */

struct part {
    const uint8_t *from, *to;
    int number;
};
static void *run_part(void *of)
{
    const struct part *part = of;
    input = part->from, input_end = part->to, this_thread = part->number;
    while (input < input_end)
        make_call();
    return NULL;
}
/* What most sequences need at once. */
static void begin(unsigned how)
{
    struct frame f = {0};
    sd_driver *driver = NULL;
    sd_cq *queue = NULL;
    drawn = 0;
    ending = 0;
    if ((how & 3) == 1) { /* as in a process that has only begun */
        PROMISE(sd_runtime_shutdown(60000, NULL) == SD_OK);
        call_runtime_configure(&f);
    }
    PROMISE(sd_factory_create("inmemory", NULL, NULL, &driver, NULL) == SD_OK);
    PROMISE(sd_put_content(driver, NULL, "/a/b", "content", 7, NULL) == SD_OK);
    PROMISE(sd_put_content(driver, NULL, "/d/e", "", 0, NULL) == SD_OK);
    keep(DRIVER, driver);
    if (how & 4) {
        sd_params *params = file_params();
        PROMISE(sd_factory_create("filesystem", NULL, params, &driver, NULL) == SD_OK);
        sd_params_free(params);
        keep(DRIVER, driver);
    }
    if (how & 8)
        call_driver_new(&f);
    leave_frame(&f);
    if (how & 16) {
        PROMISE(sd_cq_new(&queue, NULL) == SD_OK);
        keep(QUEUE, queue);
    }
    if (how & 32)
        set_hook(how >> 6 & 1, 0, SD_LOG_TRACE);
}
/* Nothing of ours is left, and nothing of the library's: the leak checker sees that. */
static void end(unsigned how)
{
    stay_out();
    for (size_t i = 0; i < COUNT(table); i++)
        if (table[i].handle && table[i].kind == QUEUE && how & 128)
            drain(&table[i]);
    /* Until its queue is freed, a slot that still runs may keep more. */
    for (int freed = 1; freed;) {
        freed = 0;
        for (size_t i = 0; i < COUNT(table); i++) {
            pthread_mutex_lock(&table_lock);
            struct live last = table[i];
            table[i].handle = NULL;
            pthread_mutex_unlock(&table_lock);
            PROMISE(last.pins == 0);
            if (last.handle)
                free_handle(last.kind, last.handle);
            freed |= last.handle != NULL;
        }
    }
    for (size_t i = 0; i < COUNT(submissions); i++)
        PROMISE(submissions[i].state == UNUSED);
    set_hook(0, 1, 0);
    set_hook(1, 1, 0);
    if (factories > 0 || (how & 3) == 1)
        PROMISE(sd_runtime_shutdown(60000, NULL) == SD_OK);
    if (factories || given)
        fprintf(stderr, "not given back: %d factories, %d of all\n", factories, given);
    PROMISE(factories == 0 && given == 0);
    remove_files();
}

static void remove_root(void)
{
    rmdir(file_root);
}
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *folder = getenv("TMPDIR");
    (void)argc, (void)argv;
    snprintf(file_root, sizeof file_root, "%.40s/sd-fuzz-XXXXXX", folder ? folder : "/tmp");
    PROMISE(mkdtemp(file_root) != NULL);
    atexit(remove_root);
    prepare();
    return 0;
}
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pthread_t threads[3];
    struct part parts[3];
    unsigned how = size ? data[0] : 0;
    int others = (how & 3) == 3 ? 2 : (how & 3) == 2 ? 1 : 0;

    input = data + !!size, input_end = data + size, this_thread = 0;
    begin(how);
    const uint8_t *rest = input;
    size_t each = (size_t)(input_end - rest) / (size_t)(others + 1);
    for (int i = 0; i <= others; i++) {
        parts[i] = (struct part){rest + each * (size_t)i, NULL, i};
        parts[i].to = parts[i].from + each;
        if (i)
            PROMISE(pthread_create(&threads[i], NULL, run_part, &parts[i]) == 0);
    }
    run_part(&parts[0]);
    for (int i = 1; i <= others; i++)
        pthread_join(threads[i], NULL);
    end(how);
    check_leaks();
    return 0;
}
