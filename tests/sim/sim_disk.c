/* SPDX-License-Identifier: Apache-2.0
 *
 * The disks: database.h in memory, in place of SQLite, and clock.h in virtual time, so that the
 * nodes run the storage of the server. The storage thread waits for a commit. Here a commit is on
 * the disk some time after database_commit has returned, before the next one begins. A crash in
 * between loses it. A disk that fails refuses transactions, and a slow one needs some seconds for
 * each commit.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-server/clock.h"
#include "artemis-server/storage/database.h"
#include "tests/sim/sim.h"

enum {
    KEY_BYTES = 64,
    BODY_BYTES = 512,
    NODE_BYTES = 8,
    COMMIT_MAX_MS = 100,       /* until a commit is on the disk, */
    SLOW_COMMIT_MAX_MS = 6000, /* and if it is slow */
};

struct row {
    char key[KEY_BYTES], body[BODY_BYTES], node[NODE_BYTES];
    size_t key_size, body_size, node_size;
    uint64_t hlc, since_ms;
};

enum change_kind { DISK_PUT, DISK_DELETE, DISK_CLEAR, DISK_NUMBER };

struct disk_change {
    enum change_kind kind;
    struct row row;
    enum database_number number;
    uint64_t value;
};

struct database {
    struct row rows[CLIENTS_MAX];
    size_t count;
    uint64_t numbers[NUMBER_COUNT];
    struct disk_change *changes; /* of the transaction, then of its commit */
    size_t changes_count, changes_capacity;
    /* In the time of the world: */
    uint64_t stored_ms; /* when the commit is on the disk; 0: none runs */
    enum disk_state state;
    uint64_t trouble_since_ms; /* it fails or is slow, or has for a time; 0: never */
    uint64_t trouble_until_ms; /* if it works */
};

static struct database disks[NODES_MAX];
static struct sim *world;
static struct moment clock_of_node;

/* --- clock.h ---------------------------------------------------------------------------------- */

struct moment clock_now(void)
{
    return clock_of_node;
}

uint64_t clock_mono_ns(void)
{
    return clock_of_node.mono_ms * 1000000;
}

/* --- the disk --------------------------------------------------------------------------------- */

void disks_clear(struct sim *sim)
{
    world = sim;
    for (int i = 0; i < NODES_MAX; i++)
        free(disks[i].changes);
    memset(disks, 0, sizeof(disks));
}

void disk_set_clock(struct moment now)
{
    clock_of_node = now;
}

static struct row *find(struct database *disk, const struct row *key)
{
    for (size_t i = 0; i < disk->count; i++)
        if (disk->rows[i].key_size == key->key_size &&
            memcmp(disk->rows[i].key, key->key, key->key_size) == 0)
            return &disk->rows[i];
    return NULL;
}

static void put_row(struct database *disk, const struct row *row)
{
    struct row *known = find(disk, row);
    assert(known || disk->count < CLIENTS_MAX);
    *(known ? known : &disk->rows[disk->count++]) = *row;
}

static void delete_row(struct database *disk, const struct row *key)
{
    struct row *known = find(disk, key);
    if (known)
        *known = disk->rows[--disk->count];
}

static void store_changes(struct database *disk)
{
    for (size_t i = 0; i < disk->changes_count; i++) {
        const struct disk_change *change = &disk->changes[i];
        if (change->kind == DISK_PUT)
            put_row(disk, &change->row);
        else if (change->kind == DISK_DELETE)
            delete_row(disk, &change->row);
        else if (change->kind == DISK_CLEAR)
            disk->count = 0;
        else
            disk->numbers[change->number] = change->value;
    }
    disk->changes_count = 0;
    disk->stored_ms = 0;
}

void disk_flush(uint32_t node)
{
    store_changes(&disks[node]);
}

void disk_crash(uint32_t node)
{
    struct database *disk = &disks[node];
    if (disk->stored_ms && disk->stored_ms <= world->now_ms)
        store_changes(disk);
    world->counts.commits_lost += disk->changes_count != 0;
    disk->changes_count = 0;
    disk->stored_ms = 0;
}

static bool has_recovered(const struct database *disk)
{
    return disk->state == DISK_WORKS &&
           (!disk->trouble_since_ms || world->now_ms - disk->trouble_until_ms >= DISK_RECOVERY_MS);
}

void disk_set_state(uint32_t node, enum disk_state state)
{
    struct database *disk = &disks[node];
    if (disk->state == state)
        return;
    if (has_recovered(disk))
        disk->trouble_since_ms = world->now_ms;
    disk->trouble_until_ms = world->now_ms;
    disk->state = state;
}

bool disk_fails(uint32_t node)
{
    return disks[node].state == DISK_FAILS;
}

bool disk_is_busy(uint32_t node)
{
    return disks[node].stored_ms > world->now_ms;
}

uint64_t disk_trouble_ms(uint32_t node)
{
    return has_recovered(&disks[node]) ? UINT64_MAX : disks[node].trouble_since_ms;
}

/* --- database.h ------------------------------------------------------------------------------- */

const char *database_state_word(enum database_state state)
{
    (void)state;
    return "";
}

enum error database_make_folder(const char *folder, char problem[DATABASE_PROBLEM_BYTES])
{
    (void)folder;
    (void)problem;
    return ERR_NONE;
}

uint64_t database_bytes(const char *folder)
{
    (void)folder;
    return 0;
}

enum database_state database_open(const char *folder, struct database **out,
                                  char problem[DATABASE_PROBLEM_BYTES])
{
    (void)problem;
    *out = &disks[folder[1] - '0']; /* the name of a node */
    return DATABASE_OPENED;
}

void database_close(struct database *database)
{
    (void)database;
}

enum error database_set_aside(const char *folder, const char *reason,
                              char name[DATABASE_PATH_BYTES], char problem[DATABASE_PROBLEM_BYTES])
{
    (void)folder;
    (void)reason;
    (void)name;
    (void)problem;
    return ERR_SYSTEM;
}

static struct disk_change *add_change(struct database *database, enum change_kind kind)
{
    if (database->changes_count == database->changes_capacity) {
        database->changes_capacity = database->changes_capacity * 2 + 16;
        database->changes =
            realloc(database->changes, database->changes_capacity * sizeof(*database->changes));
        if (!database->changes)
            abort();
    }
    struct disk_change *change = &database->changes[database->changes_count++];
    change->kind = kind;
    return change;
}

static size_t copy_bytes(char *to, size_t capacity, struct slice from)
{
    assert(from.size <= capacity);
    memcpy(to, from.data, from.size);
    return from.size;
}

enum error database_begin(struct database *database)
{
    store_changes(database); /* the one before has ended */
    return database->state == DISK_FAILS && sim_chance(world, 30) ? ERR_SYSTEM : ERR_NONE;
}

enum error database_put(struct database *database, const struct database_row *row)
{
    struct row *to = &add_change(database, DISK_PUT)->row;
    to->key_size = copy_bytes(to->key, KEY_BYTES, row->key);
    to->body_size = row->body.size ? copy_bytes(to->body, BODY_BYTES, row->body) : 0;
    to->node_size = copy_bytes(to->node, NODE_BYTES, row->node);
    to->hlc = row->hlc;
    to->since_ms = row->since_ms;
    return ERR_NONE;
}

enum error database_delete(struct database *database, struct slice key)
{
    struct row *row = &add_change(database, DISK_DELETE)->row;
    row->key_size = copy_bytes(row->key, KEY_BYTES, key);
    return ERR_NONE;
}

enum error database_delete_all(struct database *database)
{
    (void)add_change(database, DISK_CLEAR);
    return ERR_NONE;
}

enum error database_set_number(struct database *database, enum database_number which,
                               uint64_t value)
{
    struct disk_change *change = add_change(database, DISK_NUMBER);
    change->number = which;
    change->value = value;
    return ERR_NONE;
}

enum error database_commit(struct database *database)
{
    uint64_t max_ms = database->state == DISK_IS_SLOW ? SLOW_COMMIT_MAX_MS : COMMIT_MAX_MS;
    if (database->state == DISK_FAILS)
        return ERR_SYSTEM;
    database->stored_ms = world->now_ms + 1 + sim_random(world, max_ms);
    return ERR_NONE;
}

void database_rollback(struct database *database)
{
    database->changes_count = 0;
}

enum error database_each_row(struct database *database, database_visit *visit, void *context)
{
    enum error error = ERR_NONE;
    for (size_t i = 0; i < database->count && !error; i++) {
        const struct row *row = &database->rows[i];
        const struct database_row view = {.key = {row->key, row->key_size},
                                          .body = {row->body, row->body_size},
                                          .hlc = row->hlc,
                                          .node = {row->node, row->node_size},
                                          .since_ms = row->since_ms};
        error = visit(context, &view);
    }
    return error;
}

enum error database_number(struct database *database, enum database_number which, uint64_t *value)
{
    *value = database->numbers[which];
    return ERR_NONE;
}

const char *database_problem(const struct database *database)
{
    (void)database;
    return "";
}

bool database_is_damaged(const struct database *database)
{
    (void)database;
    return false;
}
