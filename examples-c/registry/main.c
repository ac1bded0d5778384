/* registry - serve an OCI registry from any libstoragedriver driver.
 *
 *   registry --driver filesystem --param rootdirectory=/srv/registry */
#include "registry.h"

#include <getopt.h>
#include <signal.h>

struct options options = {
    .driver = "filesystem",
    .host = "127.0.0.1",
    .port = 5000,
    .idle_timeout = 60,
};
sd_driver *store;

static const char usage[] =
    "usage: registry [options]\n"
    "  --driver NAME           storage driver (filesystem)\n"
    "  --param KEY=VALUE       one driver parameter; may be repeated\n"
    "  --params-json JSON      driver parameters as one JSON object\n"
    "  --listen ADDRESS:PORT   IPv4 address and port, 0 picks one (127.0.0.1:5000)\n"
    "  --redirect              send clients to the back end for blobs where it can\n"
    "  --idle-timeout SECONDS  close silent connections (60)\n"
    "  --metrics               answer /metrics with the metrics of the store\n"
    "  --verbose               log requests, calls of the store and their errors to\n"
    "                          standard error\n"
    "  --help                  print this\n";

static _Noreturn void quit(const char *what, const char *why)
{
    fprintf(stderr, "registry: %s%s%s\n", what, why ? ": " : "", why ? why : "");
    exit(2);
}

static _Noreturn void quit_store(const char *what, sd_error *err)
{
    fprintf(stderr, "registry: %s: %s\n", what, sd_error_message(err));
    sd_error_free(err);
    exit(1);
}

static sd_params *params(void)
{
    if (options.params == NULL)
        options.params = sd_params_new();
    return options.params;
}

static void set_param(char *pair)
{
    char *equals = strchr(pair, '=');
    if (equals == NULL)
        quit("--param wants KEY=VALUE", NULL);
    *equals = '\0';
    if (sd_params_set_string(params(), pair, equals + 1) != SD_OK)
        quit("cannot set parameter", pair);
}

static void set_params_json(const char *json)
{
    sd_error *err = NULL;
    if (options.params != NULL)
        quit("--params-json goes once, before any --param", NULL);
    if (sd_params_from_json(json, &options.params, &err) != SD_OK)
        quit_store("--params-json", err);
}

static void set_listen(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (colon == NULL || !number_valid(colon + 1, &port) || port > UINT16_MAX ||
        (size_t)(colon - text) >= sizeof options.host)
        quit("--listen wants ADDRESS:PORT", NULL);
    snprintf(options.host, sizeof options.host, "%.*s", (int)(colon - text), text);
    options.port = (uint16_t)port;
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"driver", required_argument, NULL, 'd'},
        {"param", required_argument, NULL, 'p'},
        {"params-json", required_argument, NULL, 'j'},
        {"listen", required_argument, NULL, 'l'},
        {"idle-timeout", required_argument, NULL, 't'},
        {"redirect", no_argument, NULL, 'r'},
        {"metrics", no_argument, NULL, 'm'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    uint64_t seconds;
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'd': options.driver = optarg; break;
        case 'p': set_param(optarg); break;
        case 'j': set_params_json(optarg); break;
        case 'l': set_listen(optarg); break;
        case 'r': options.redirect = true; break;
        case 'm': options.metrics = true; break;
        case 'v': options.verbose = true; break;
        case 't':
            if (!number_valid(optarg, &seconds) || seconds > 86400)
                quit("--idle-timeout wants seconds", NULL);
            options.idle_timeout = (unsigned)seconds;
            break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind < argc)
        quit("unexpected argument", argv[optind]);
}

/* Called on any thread: one fprintf, whose lines the C library keeps apart. */
static void log_store(void *user, const sd_log_record *record)
{
    static const char *const levels[] = {"", "error", "warn", "info", "debug", "trace"};
    (void)user;
    fprintf(stderr, "store %s: %s %s\n", levels[record->level], record->message,
            record->fields_json);
}

int main(int argc, char **argv)
{
    sd_error *err = NULL;
    sigset_t stop;
    int signal_number;

    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    /* Blocked before any thread starts, so that only sigwait() below sees them. */
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);

    if (options.verbose)
        sd_log_set_hook(log_store, NULL, SD_LOG_DEBUG);
    if (sd_factory_create(options.driver, NULL, params(), &store, &err) != SD_OK)
        quit_store("cannot open the store", err);
    sd_params_free(options.params);
    struct MHD_Daemon *daemon = http_start();
    if (daemon == NULL)
        quit("cannot listen on", options.host);
    printf("listening on %s:%u\n", options.host,
           (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);

    sigwait(&stop, &signal_number);
    MHD_stop_daemon(daemon); /* ends every request; unfinished uploads are kept */
    sd_driver_free(store);
    if (sd_runtime_shutdown(10000, &err) != SD_OK)
        quit_store("shutdown", err);
    return 0;
}
