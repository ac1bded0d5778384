/* custom_program - the driver of custom_driver.c as the program
 * registry-storage-sqlite, which hosts start when they are asked for "sqlite":
 *
 *   SD_DRIVER_PATH=$PWD put sqlite '{"path":"/tmp/store.db"}' /an/object < file */
int serve_sqlite_driver(int argc, char **argv); /* custom_driver.c */

int main(int argc, char **argv)
{
    return serve_sqlite_driver(argc, argv);
}
