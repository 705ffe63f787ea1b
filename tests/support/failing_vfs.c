/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/failing_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int write_code;
static sqlite3_vfs *base;
static sqlite3_vfs shim;

/* The base has a method table for the database and one for its WAL; all share these two. */
enum { TABLES_MAX = 4 };
static sqlite3_io_methods tables[TABLES_MAX];
static const sqlite3_io_methods *base_tables[TABLES_MAX];
static int table_count;
static int (*base_write)(sqlite3_file *, const void *, int, sqlite3_int64);
static int (*base_sync)(sqlite3_file *, int);

static pthread_mutex_t hang_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hang_ended = PTHREAD_COND_INITIALIZER;
static bool hang;
static _Atomic int hanging;

static void wait_while_hanging(void)
{
    pthread_mutex_lock(&hang_lock);
    hanging++;
    while (hang)
        pthread_cond_wait(&hang_ended, &hang_lock);
    hanging--;
    pthread_mutex_unlock(&hang_lock);
}

static int shim_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    wait_while_hanging();
    int code = atomic_load(&write_code);
    return code ? code : base_write(file, data, size, offset);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    wait_while_hanging();
    int code = atomic_load(&write_code);
    return code ? code : base_sync(file, flags);
}

static const sqlite3_io_methods *table_for(const sqlite3_io_methods *of_base)
{
    for (int i = 0; i < table_count; i++)
        if (base_tables[i] == of_base)
            return &tables[i];
    if (table_count == TABLES_MAX)
        abort();
    base_tables[table_count] = of_base;
    tables[table_count] = *of_base;
    tables[table_count].xWrite = shim_write;
    tables[table_count].xSync = shim_sync;
    base_write = of_base->xWrite;
    base_sync = of_base->xSync;
    return &tables[table_count++];
}

/* The file is the base's own; only two of its methods are replaced. */
static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *out_flags)
{
    (void)vfs;
    int code = base->xOpen(base, name, file, flags, out_flags);
    if (code == SQLITE_OK && file->pMethods)
        file->pMethods = table_for(file->pMethods);
    return code;
}

void failing_vfs_set(int code)
{
    atomic_store(&write_code, code);
}

void failing_vfs_hang(bool on)
{
    pthread_mutex_lock(&hang_lock);
    hang = on;
    pthread_cond_broadcast(&hang_ended);
    pthread_mutex_unlock(&hang_lock);
}

bool failing_vfs_hangs(void)
{
    return hanging > 0;
}

void failing_vfs_install(void)
{
    base = sqlite3_vfs_find(NULL);
    shim = *base;
    shim.zName = "failing";
    shim.pNext = NULL;
    shim.xOpen = shim_open;
    sqlite3_vfs_register(&shim, 1);
}
