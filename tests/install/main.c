/* A program from outside the tree: stores an object, reads it back, compares. */
#include <stdio.h>
#include <string.h>
#include <storagedriver.h>

int main(void)
{
    sd_driver *driver = NULL;
    sd_buffer *buffer = NULL;
    sd_error *error = NULL;
    int same;

    if (sd_version() >> 16 != SD_VERSION_MAJOR || sd_abi_version() != SD_ABI_VERSION)
        return 1;
    if (sd_factory_create("inmemory", NULL, NULL, &driver, &error) != SD_OK ||
        sd_put_content(driver, NULL, "/greeting", "hello", 5, &error) != SD_OK ||
        sd_get_content(driver, NULL, "/greeting", &buffer, &error) != SD_OK) {
        fprintf(stderr, "%s\n", sd_error_message(error));
        sd_error_free(error);
        sd_driver_free(driver);
        return 1;
    }
    same = sd_buffer_len(buffer) == 5 && memcmp(sd_buffer_data(buffer), "hello", 5) == 0;
    printf("storagedriver %s %s\n", sd_version_string(), same ? "works" : "fails");
    sd_buffer_free(buffer);
    sd_driver_free(driver);
    return same ? 0 : 1;
}
