/* custom_store - files in an SQLite database, for custom_driver.c. */
#include "custom_store.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
    "CREATE TABLE IF NOT EXISTS file(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  path TEXT NOT NULL, state INT NOT NULL, size INT NOT NULL, mtime INT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS place ON file(path, state);"
    "CREATE TABLE IF NOT EXISTS chunk(file INT NOT NULL REFERENCES file ON DELETE CASCADE,"
    "  n INT NOT NULL, data BLOB NOT NULL, PRIMARY KEY(file, n)) WITHOUT ROWID;"
    "DELETE FROM file WHERE state = 2;"; /* left open when a program ended */

/* What is below the directory ?1; '0' comes right after '/'. */
#define BELOW " path > ?1 || '/' AND path < ?1 || '0' "

sd_status answer(int code, sd_error **err)
{
    sd_status status = SD_ERR_DRIVER;
    switch (code) {
    case SQLITE_ROW: return SD_OK;
    case SQLITE_DONE: return SD_ERR_PATH_NOT_FOUND;
    case SQLITE_FULL: status = SD_ERR_NO_SPACE; break;
    case SQLITE_BUSY: status = SD_ERR_UNAVAILABLE; break;
    case SQLITE_READONLY: status = SD_ERR_PERMISSION; break;
    case SQLITE_CORRUPT: status = SD_ERR_CORRUPT; break;
    case SQLITE_CONSTRAINT: status = SD_ERR_CONFLICT; break; /* the upload is gone */
    }
    *err = sd_error_new(status, sqlite3_errstr(code));
    return status;
}

/* Runs a statement up to its first row. `types` tells the arguments: s text, i int64_t,
 * b bytes and their size_t length. The statement is left in *out, if that is given and
 * there is a row, to be finalized by the caller. */
static int query(sqlite3 *db, sqlite3_stmt **out, const char *sql, const char *types, ...)
{
    sqlite3_stmt *stmt = NULL;
    va_list args;
    int code = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    va_start(args, types);
    for (int i = 1; code == SQLITE_OK && *types; i++, types++) {
        if (*types == 's') {
            code =
                sqlite3_bind_text(stmt, i, va_arg(args, const char *), -1, SQLITE_STATIC);
        } else if (*types == 'i') {
            code = sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
        } else {
            const void *data = va_arg(args, const void *);
            code = sqlite3_bind_blob64(stmt, i, data, va_arg(args, size_t), SQLITE_STATIC);
        }
    }
    va_end(args);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    if (code == SQLITE_ROW && out)
        *out = stmt;
    else
        sqlite3_finalize(stmt);
    return code;
}

/* For statements that give no row and cannot miss. */
static int done(int code)
{
    return code == SQLITE_DONE ? SQLITE_ROW : code;
}

/* Ends what "SAVEPOINT x" began: all of it happened, or nothing. */
static int end(sqlite3 *db, int code)
{
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        int released = sqlite3_exec(db, "RELEASE x", NULL, NULL, NULL);
        if (released == SQLITE_OK)
            return code;
        code = released;
    }
    sqlite3_exec(db, "ROLLBACK TO x; RELEASE x", NULL, NULL, NULL);
    return code;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int store_open(const char *name, sqlite3 **out)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(name, out, flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(*out, schema, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return SQLITE_ROW;
    sqlite3_close(*out);
    return code;
}

int store_find(sqlite3 *db, const char *path, int state, struct file *out)
{
    static const char sql[] =
        "SELECT id, size, mtime FROM file WHERE path = ? AND state = ?";
    sqlite3_stmt *row = NULL;
    int code = query(db, &row, sql, "si", path, (int64_t)state);
    *out = (struct file){.db = db};
    if (code == SQLITE_ROW) {
        out->id = sqlite3_column_int64(row, 0);
        out->size = sqlite3_column_int64(row, 1);
        out->mtime = sqlite3_column_int64(row, 2);
        sqlite3_finalize(row);
    }
    return code;
}

int store_snapshot(sqlite3 *db, const char *path, struct file *out)
{
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
    sqlite3 *own = NULL;
    int code = sqlite3_open_v2(sqlite3_db_filename(db, "main"), &own, flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(own, "BEGIN", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = store_find(own, path, COMMITTED, out);
    if (code != SQLITE_ROW)
        sqlite3_close(own);
    return code;
}

int store_is_directory(sqlite3 *db, const char *path)
{
    static const char sql[] = "SELECT 1 FROM file WHERE state = 0 AND" BELOW "LIMIT 1";
    return strcmp(path, "/") == 0 ? SQLITE_ROW : query(db, NULL, sql, "s", path);
}

/* One probe of the index for each child, however much is below it. */
int store_list(sqlite3 *db, const char *path, sd_names *out)
{
    static const char sql[] = "SELECT path FROM file WHERE state = 0 AND path > ?1 || ?2"
                              " AND path < ?1 || '0' ORDER BY path LIMIT 1";
    const char *directory = strcmp(path, "/") == 0 ? "" : path;
    size_t start = strlen(directory) + 1;
    char *after = sqlite3_mprintf("/");
    sqlite3_stmt *row = NULL;
    int code = SQLITE_NOMEM;
    while (after && (code = query(db, &row, sql, "ss", directory, after)) == SQLITE_ROW) {
        const char *found = (const char *)sqlite3_column_text(row, 0);
        int len = (int)strcspn(found + start, "/");
        char *child = sqlite3_mprintf("%.*s", (int)start + len, found);
        sqlite3_free(after); /* on after the file, or after all below the directory */
        after =
            sqlite3_mprintf("/%.*s%s", len, found + start, found[start + len] ? "/~" : "");
        if (child)
            sd_names_push(out, child);
        sqlite3_free(child);
        sqlite3_finalize(row);
    }
    sqlite3_free(after);
    return done(code);
}

int store_get(sqlite3 *db, const char *path, sd_buffer **out)
{
    struct file file;
    int code = store_find(db, path, COMMITTED, &file);
    char *data = malloc((size_t)file.size + 1);
    for (size_t len = 1; code == SQLITE_ROW && len > 0;)
        code = store_read(&file, data + file.at, (size_t)(file.size - file.at), &len);
    if (code == SQLITE_ROW)
        *out = sd_buffer_new(data, (size_t)file.size);
    free(data);
    return code;
}

int store_put(sqlite3 *db, const char *path, const void *data, size_t len)
{
    struct upload *upload = malloc(sizeof *upload);
    int code = store_begin(db, path, 0, upload);
    if (code == SQLITE_ROW)
        code = store_write(upload, data, len);
    if (code == SQLITE_ROW)
        code = store_settle(upload, COMMITTED);
    free(upload);
    return code;
}

int store_move(struct file *file, const char *dest)
{
    static const char sql[] = "UPDATE file SET path = ?2 WHERE id = ?1 RETURNING id";
    sqlite3_exec(file->db, "SAVEPOINT x", NULL, NULL, NULL);
    int code =
        query(file->db, NULL, "DELETE FROM file WHERE path = ? AND state = 0", "s", dest);
    if (code == SQLITE_DONE)
        code = query(file->db, NULL, sql, "is", file->id, dest);
    return end(file->db, code);
}

int store_remove(sqlite3 *db, const char *path)
{
    static const char below[] = "DELETE FROM file WHERE state < 2 AND" BELOW;
    int before = sqlite3_total_changes(db);
    sqlite3_exec(db, "SAVEPOINT x", NULL, NULL, NULL);
    int code = query(db, NULL, "DELETE FROM file WHERE state < 2 AND path = ?", "s", path);
    if (code == SQLITE_DONE)
        code = query(db, NULL, below, "s", path);
    code = end(db, code);
    return sqlite3_total_changes(db) > before ? done(code) : code;
}

int store_read(struct file *file, void *buf, size_t cap, size_t *len)
{
    static const char sql[] =
        "SELECT substr(data, ?3, ?4) FROM chunk WHERE file = ?1 AND n = ?2";
    sqlite3_stmt *row = NULL;
    int64_t most = cap < CHUNK ? (int64_t)cap : CHUNK;
    *len = 0;
    if (file->at >= file->size || cap == 0)
        return SQLITE_ROW;
    int code = query(file->db, &row, sql, "iiii", file->id, file->at / CHUNK,
                     file->at % CHUNK + 1, most);
    if (code == SQLITE_ROW) {
        const void *data = sqlite3_column_blob(row, 0);
        *len = (size_t)sqlite3_column_bytes(row, 0);
        if (*len > 0)
            memcpy(buf, data, *len);
        file->at += (int64_t)*len;
        sqlite3_finalize(row);
    }
    return code;
}

static int create(sqlite3 *db, const char *path, const struct file *from, int64_t *id)
{
    static const char file[] =
        "INSERT INTO file(path, state, size, mtime) VALUES(?, 2, ?, ?)";
    static const char copy[] =
        "INSERT INTO chunk SELECT ?, n, data FROM chunk WHERE file = ?";
    sqlite3_exec(db, "SAVEPOINT x", NULL, NULL, NULL);
    int code = query(db, NULL, file, "sii", path, from ? from->size : (int64_t)0, now());
    *id = sqlite3_last_insert_rowid(db);
    if (code == SQLITE_DONE && from)
        code = query(db, NULL, copy, "ii", *id, from->id);
    else if (code == SQLITE_DONE) /* starting over forgets the upload before */
        code = query(db, NULL, "DELETE FROM file WHERE path = ? AND state = 1", "s", path);
    return done(end(db, code));
}

int store_begin(sqlite3 *db, const char *path, int append, struct upload *out)
{
    struct file *file = &out->file;
    size_t len;
    int code;
    *file = (struct file){.db = db};
    if (!append)
        return create(db, path, NULL, &file->id);
    code = store_find(db, path, CLOSED, file);
    if (code == SQLITE_DONE) {
        struct file committed;
        code = store_find(db, path, COMMITTED, &committed);
        *file = committed;
        if (code == SQLITE_ROW)
            code = create(db, path, &committed, &file->id);
    }
    file->at = file->size - file->size % CHUNK;
    return code == SQLITE_ROW ? store_read(file, out->part, CHUNK, &len) : code;
}

/* Writes the chunk that `part` holds, of a file that then has `size`. */
static int flush(struct upload *upload, int64_t size)
{
    static const char file[] = "UPDATE file SET size = ? WHERE id = ?";
    static const char chunk[] = "INSERT OR REPLACE INTO chunk VALUES(?, ?, ?)";
    sqlite3 *db = upload->file.db;
    int64_t id = upload->file.id, n = (size - 1) / CHUNK;
    size_t len = (size_t)(size - n * CHUNK);
    sqlite3_exec(db, "SAVEPOINT x", NULL, NULL, NULL);
    int code = query(db, NULL, chunk, "iib", id, n, upload->part, len);
    if (code == SQLITE_DONE)
        code = query(db, NULL, file, "ii", size, id);
    return done(end(db, code));
}

int store_write(struct upload *upload, const void *data, size_t len)
{
    struct file *file = &upload->file;
    int code = SQLITE_ROW;
    for (const char *from = data; len > 0 && code == SQLITE_ROW;) {
        size_t at = (size_t)(file->size % CHUNK), room = CHUNK - at;
        size_t some = len < room ? len : room;
        memcpy(upload->part + at, from, some);
        if (some == room)
            code = flush(upload, file->size + (int64_t)some);
        if (code == SQLITE_ROW) {
            file->size += (int64_t)some;
            from += some;
            len -= some;
        }
    }
    return code;
}

int store_settle(struct upload *upload, int state)
{
    static const char old[] = "DELETE FROM file WHERE id != ?1 AND state = ?2"
                              " AND path = (SELECT path FROM file WHERE id = ?1)";
    static const char sql[] = "UPDATE file SET state = ?2, mtime = ?3 WHERE id = ?1"
                              " RETURNING id";
    struct file *file = &upload->file;
    int code = file->size % CHUNK ? flush(upload, file->size) : SQLITE_ROW;
    if (code != SQLITE_ROW)
        return code;
    sqlite3_exec(file->db, "SAVEPOINT x", NULL, NULL, NULL);
    code = query(file->db, NULL, old, "ii", file->id, (int64_t)state);
    if (code == SQLITE_DONE)
        code = query(file->db, NULL, sql, "iii", file->id, (int64_t)state, now());
    return end(file->db, code);
}

int store_discard(struct upload *upload)
{
    static const char sql[] = "DELETE FROM file WHERE id = ?";
    return done(query(upload->file.db, NULL, sql, "i", upload->file.id));
}
