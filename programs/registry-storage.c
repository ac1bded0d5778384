/* registry-storage - the library's own drivers in processes of their own. Called
 * registry-storage-NAME, as by a link, it serves the driver NAME to the host that has
 * started it. */
#include <storagedriver.h>

int main(int argc, char **argv)
{
    return sd_driver_main(argc, argv, NULL, NULL, NULL);
}
