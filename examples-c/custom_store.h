/* custom_store - files in an SQLite database, for custom_driver.c. */
#ifndef CUSTOM_STORE_H
#define CUSTOM_STORE_H

#include <sqlite3.h>
#include <storagedriver.h>

/* An upload is a file in another state, so that nothing of it is seen before the
 * commit, which is one update. A path has any number of OPEN files. */
enum { COMMITTED, CLOSED, OPEN };
enum { CHUNK = 256 << 10 }; /* bytes in each row of content but the last of a file */

struct file {
    sqlite3 *db;
    int64_t id, size, mtime, at; /* at: where the next read starts */
};
struct upload {
    struct file file;
    char part[CHUNK]; /* the bytes after the last full chunk */
};

/* Each answers SQLITE_ROW if it was done, SQLITE_DONE if there was no such thing, or
 * SQLite's error. */
int store_open(const char *name, sqlite3 **out);
int store_find(sqlite3 *db, const char *path, int state, struct file *out);
/* A committed file as it is now, whatever becomes of it, through a connection of its
 * own: close out->db in the end. */
int store_snapshot(sqlite3 *db, const char *path, struct file *out);
int store_is_directory(sqlite3 *db, const char *path);
int store_list(sqlite3 *db, const char *path, sd_names *out);
int store_get(sqlite3 *db, const char *path, sd_buffer **out);
int store_put(sqlite3 *db, const char *path, const void *data, size_t len);
int store_move(struct file *file, const char *dest);
int store_remove(sqlite3 *db, const char *path);
/* The next bytes, from one chunk; 0 at the end. */
int store_read(struct file *file, void *buf, size_t cap, size_t *len);
/* A new upload, or the CLOSED one, or one that goes on after the committed content. */
int store_begin(sqlite3 *db, const char *path, int append, struct upload *out);
int store_write(struct upload *upload, const void *data, size_t len);
/* Gives it another state, in place of the file that has that state at the path. */
int store_settle(struct upload *upload, int state);
int store_discard(struct upload *upload);

/* All these answers in the library's words. */
sd_status answer(int code, sd_error **err);

#endif
