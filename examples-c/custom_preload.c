/* custom_preload - puts the driver of custom_driver.c into programs that never heard
 * of it, as they register no driver of their own:
 *
 *   LD_PRELOAD=./custom.so put sqlite '{"path":"/tmp/store.db"}' /an/object < file
 *   LD_PRELOAD=./custom.so registry --driver sqlite --param path=/tmp/store.db */
#include <stdio.h>
#include <storagedriver.h>

sd_status register_sqlite_driver(sd_error **err); /* custom_driver.c */

__attribute__((constructor)) static void preload(void)
{
    sd_error *err = NULL;

    if (register_sqlite_driver(&err) != SD_OK)
        fprintf(stderr, "custom.so: %s\n", sd_error_message(err));
    sd_error_free(err);
}
