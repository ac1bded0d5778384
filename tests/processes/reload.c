/* Loads the library named by the first argument, uses it, unloads it with its threads
 * running, and does so again; the second argument says whether it is shut down first. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <storagedriver.h>

#define NEED(cond)                                                                         \
    do {                                                                                   \
        if (!(cond)) {                                                                     \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                     \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)
/* A function of the library, looked up anew each time. */
#define LOOK_UP(name)                                                                      \
    __typeof__(&name) f_##name;                                                            \
    *(void **)&f_##name = dlsym(library, #name);                                           \
    NEED(f_##name != NULL)

static void use(void *library)
{
    LOOK_UP(sd_factory_create);
    LOOK_UP(sd_put_content);
    LOOK_UP(sd_cq_new);
    LOOK_UP(sd_submit_stat);
    LOOK_UP(sd_cq_next);
    LOOK_UP(sd_completion_status);
    LOOK_UP(sd_completion_free);
    LOOK_UP(sd_cq_free);
    LOOK_UP(sd_driver_free);
    sd_driver *driver = NULL;
    sd_cq *cq = NULL;
    sd_completion *c = NULL;
    NEED(f_sd_factory_create("inmemory", NULL, NULL, &driver, NULL) == SD_OK);
    NEED(f_sd_put_content(driver, NULL, "/a", "x", 1, NULL) == SD_OK);
    NEED(f_sd_cq_new(&cq, NULL) == SD_OK);
    for (uint64_t tag = 0; tag < 50; tag++)
        NEED(f_sd_submit_stat(cq, tag, driver, NULL, "/a", NULL) == SD_OK);
    for (int i = 0; i < 50; i++) {
        NEED(f_sd_cq_next(cq, -1, &c, NULL) == SD_OK);
        NEED(f_sd_completion_status(c) == SD_OK);
        f_sd_completion_free(c);
    }
    f_sd_cq_free(cq);
    f_sd_driver_free(driver);
}

/* A thread that has used the library and ends only when that is unloaded. */
struct bystander {
    void *library;
    pthread_barrier_t used, unloaded;
};
static void *stand_by(void *user)
{
    struct bystander *b = user;
    use(b->library);
    pthread_barrier_wait(&b->used);
    pthread_barrier_wait(&b->unloaded);
    return NULL; /* here what the library keeps for a thread goes */
}

int main(int argc, char **argv)
{
    NEED(argc == 3);
    for (int i = 0; i < 5; i++) {
        struct bystander b;
        pthread_t thread;
        b.library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (!b.library)
            fprintf(stderr, "%s\n", dlerror());
        NEED(b.library != NULL);
        use(b.library);
        pthread_barrier_init(&b.used, NULL, 2);
        pthread_barrier_init(&b.unloaded, NULL, 2);
        NEED(!pthread_create(&thread, NULL, stand_by, &b));
        pthread_barrier_wait(&b.used);
        if (strcmp(argv[2], "shutdown") == 0) {
            void *library = b.library;
            LOOK_UP(sd_runtime_shutdown);
            NEED(f_sd_runtime_shutdown(10000, NULL) == SD_OK);
        }
        NEED(dlclose(b.library) == 0);
        pthread_barrier_wait(&b.unloaded);
        pthread_join(thread, NULL);
        pthread_barrier_destroy(&b.used);
        pthread_barrier_destroy(&b.unloaded);
    }
    return 0;
}
