/* SPDX-License-Identifier: Apache-2.0
 *
 * The file in which a node keeps its records, damaged or foreign. The first byte selects: the bytes
 * of the file; changes of a valid file (two bytes of position, one of size, the bytes); or rows of
 * a valid file.
 *
 * The node starts whatever the file contains. A file that is set aside is unchanged. What was
 * loaded can be sent to peers, can be stored again, and does not prevent new registrations.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artemis-core/json/codec_peer.h"
#include "artemis-core/json/codec_stored.h"
#include "artemis-core/model/hlc.h"
#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis-server/registry/registry_replication.h"
#include "artemis-server/storage/storage.h"
#include "tests/fuzz/support/fuzz.h"

enum {
    FILE_BYTES_MAX = 128 * 1024,
    TTL_MS = 30000,
    ROWS_MAX = 32,
    BYTES_AS_FILE = 0,
    BYTES_AS_CHANGES = 1,
    BYTES_AS_ROWS = 2,
    MODES = 3,
    JSON_INTEGER_BITS = 53, /* which every JSON reader keeps exactly */
};

static const struct moment now = {1000000, 1771056000000};
static char folder[64];
static char path[96];

static uint8_t valid_file[FILE_BYTES_MAX];
static size_t valid_size;

struct moment clock_now(void)
{
    return now;
}

uint64_t clock_mono_ns(void)
{
    return now.mono_ms * 1000000;
}

/* --- files ------------------------------------------------------------------------------------ */

static int remove_entry(const char *entry, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    return walk->level > 0 ? remove(entry) : 0;
}

static void empty_folder(void)
{
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static size_t read_file(const char *name, uint8_t *out, size_t max)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, out, max) : 0;
    if (fd >= 0)
        close(fd);
    return size > 0 ? (size_t)size : 0;
}

static struct database *open_new(void)
{
    char problem[DATABASE_PROBLEM_BYTES];
    struct database *database = NULL;
    empty_folder();
    enum database_state state = database_open(folder, &database, problem);
    assert(state == DATABASE_OPENED);
    enum error error = database_begin(database);
    assert(!error);
    return database;
}

static void commit_and_close(struct database *database)
{
    enum error error = database_commit(database);
    assert(!error);
    database_close(database); /* leaves no WAL */
}

static struct instance *create_instance(const char *id)
{
    struct instance *instance = NULL;
    struct field_problem problem;
    struct instance_spec spec = {.text = {[FIELD_REGION] = SLICE("r"),
                                          [FIELD_ZONE] = SLICE("z"),
                                          [FIELD_SERVICE] = SLICE("s"),
                                          [FIELD_INSTANCE] = slice_of(id),
                                          [FIELD_IP] = SLICE("1")},
                                 .port = 80};
    enum error error = instance_create(&spec, &instance, &problem);
    assert(!error);
    return instance;
}

static void put_instance(struct database *database, const char *id, uint64_t hlc)
{
    struct instance *instance = create_instance(id);
    struct text body = {0};
    codec_write_stored(&body, instance);
    const struct database_row row = {.key = instance_packed_key(instance),
                                     .body = {body.data, body.size},
                                     .hlc = hlc,
                                     .node = SLICE("n2")};
    enum error error = database_put(database, &row);
    assert(!error);
    text_free(&body);
    instance_unref(instance);
}

static void put_tombstone(struct database *database, const char *id, uint64_t hlc)
{
    struct instance *instance = create_instance(id);
    const struct database_row row = {.key = instance_packed_key(instance),
                                     .body = SLICE("{\"revision\":7}"),
                                     .hlc = hlc,
                                     .node = SLICE("n2"),
                                     .since_ms = now.wall_ms - 5000};
    enum error error = database_put(database, &row);
    assert(!error);
    instance_unref(instance);
}

static void remove_folder(void)
{
    empty_folder();
    rmdir(folder);
}

/* Three instances, a tombstone, and the numbers. */
static void prepare(void)
{
    const uint64_t hlc = (now.wall_ms - 5000) << 16;
    snprintf(folder, sizeof(folder), "/dev/shm/artemis-fuzz-XXXXXX");
    assert(mkdtemp(folder));
    atexit(remove_folder);
    snprintf(path, sizeof(path), "%s/%s", folder, DATABASE_FILE);
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
    struct database *database = open_new();
    put_instance(database, "a", hlc);
    put_instance(database, "b", hlc + 1);
    put_instance(database, "c", hlc + 2);
    put_tombstone(database, "d", hlc + 3);
    enum error error = database_set_number(database, NUMBER_HLC_BOUND, hlc + 100);
    assert(!error);
    error = database_set_number(database, NUMBER_REVISION_BOUND, now.wall_ms * 1000);
    assert(!error);
    error = database_set_number(database, NUMBER_SAVED_MS, now.wall_ms - 1000);
    assert(!error);
    commit_and_close(database);
    valid_size = read_file(path, valid_file, sizeof(valid_file));
    assert(valid_size > 0 && valid_size < sizeof(valid_file));
}

/* --- input ------------------------------------------------------------------------------------ */

static void write_changes(const uint8_t *data, size_t size)
{
    static uint8_t file[FILE_BYTES_MAX];
    memcpy(file, valid_file, valid_size);
    while (size >= 4) {
        size_t at = (size_t)data[0] << 8 | data[1];
        size_t count = data[2] % 16u + 1;
        count = count < size - 3 ? count : size - 3;
        if (at + count <= valid_size)
            memcpy(file + at, data + 3, count);
        data += 3 + count;
        size -= 3 + count;
    }
    write_file(file, valid_size);
}

/* A slice with its size in the first byte. */
static struct slice take(const uint8_t **data, size_t *size)
{
    size_t count = *size ? **data : 0;
    if (*size == 0)
        return (struct slice){"", 0};
    count = count < *size - 1 ? count : *size - 1;
    struct slice taken = fuzz_slice(*data + 1, count);
    *data += 1 + count;
    *size -= 1 + count;
    return taken;
}

static uint64_t number_of(struct slice bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.size; i++)
        number = number << 8 | (uint8_t)bytes.data[i];
    return number & INT64_MAX;
}

/* Numbers, then rows: key, body, stamp, node and time. A key of one byte is that of an instance of
 * the valid file. */
static void write_rows(const uint8_t *data, size_t size)
{
    struct database *database = open_new();
    for (enum database_number which = 0; which < NUMBER_COUNT; which++) {
        enum error error = database_set_number(database, which, number_of(take(&data, &size)));
        assert(!error);
    }
    for (int i = 0; i < ROWS_MAX && size > 0; i++) {
        struct slice key = take(&data, &size);
        char id[] = {key.size == 1 && key.data[0] > ' ' && key.data[0] < 127 ? key.data[0] : 'a',
                     '\0'};
        struct instance *instance = create_instance(id);
        struct database_row row = {.key = key.size == 1 ? instance_packed_key(instance) : key};
        row.body = take(&data, &size);
        row.hlc = number_of(take(&data, &size));
        row.node = take(&data, &size);
        row.since_ms = number_of(take(&data, &size));
        enum error error = database_put(database, &row);
        assert(!error);
        instance_unref(instance);
    }
    commit_and_close(database);
}

static void write_input(const uint8_t *data, size_t size)
{
    empty_folder();
    switch (data[0] % MODES) {
    case BYTES_AS_FILE:
        write_file(data + 1, size - 1);
        break;
    case BYTES_AS_CHANGES:
        write_changes(data + 1, size - 1);
        break;
    default:
        write_rows(data + 1, size - 1);
        break;
    }
}

/* --- checks ----------------------------------------------------------------------------------- */

static struct {
    uint8_t before[FILE_BYTES_MAX];
    size_t size;
    unsigned set_aside;
} files;

static int check_set_aside(const char *entry, const struct stat *status, int type, struct FTW *walk)
{
    static uint8_t after[FILE_BYTES_MAX];
    (void)status;
    (void)type;
    const char *name = entry + walk->base;
    if (strncmp(name, DATABASE_FILE ".", sizeof(DATABASE_FILE)) != 0 || strstr(name, "-wal"))
        return 0;
    files.set_aside++;
    size_t size = read_file(entry, after, sizeof(after));
    bool is_foreign = strstr(name, "foreign") || strstr(name, "newer");
    assert(!is_foreign || (size == files.size && memcmp(after, files.before, size) == 0));
    return 0;
}

/* All that the node holds, as a peer reads it. */
static void check_records(struct registry *registry)
{
    struct registry_cursor cursor = {0};
    for (;;) {
        char buffer[ID_BYTES_MAX];
        struct slice id;
        struct record_copy *copies;
        size_t count;
        enum error error = registry_snapshot_next(registry, &cursor, buffer, &id, &copies, &count);
        assert(!error);
        if (count == 0)
            return;
        for (size_t i = 0; i < count; i++) {
            struct text json = {0};
            struct json_writer w = jw_to(&json, CASING_SNAKE);
            struct wire_record record = registry_wire_record(registry, &copies[i], now);
            assert(record.stamp.hlc <= HLC_MAX && record.stamp.node_id.size > 0);
            if (record.deleted)
                codec_write_peer_key(&w, &record, false);
            else
                codec_write_peer_instance(&w, &record, false);
            fuzz_check_response(&json);
            record_copy_unref(&copies[i]);
        }
        free(copies);
    }
}

/* A registration gets a stamp that peers accept, and a revision that clients can read. */
static void check_registers(struct registry *registry)
{
    struct record_copy copy;
    struct instance *instance = create_instance("new");
    enum error error = registry_register(registry, instance, now);
    assert(!error);
    bool is_known = registry_read_key(registry, instance_packed_key(instance), &copy);
    assert(is_known && !copy.deleted);
    assert(copy.hlc >> 16 <= now.wall_ms + CLOCK_AHEAD_MAX_MS);
    assert(registry_revision(registry) < (uint64_t)1 << JSON_INTEGER_BITS);
    record_copy_unref(&copy);
    instance_unref(instance);
}

static struct registry *start(struct storage **storage)
{
    char problem[DATABASE_PROBLEM_BYTES] = "";
    struct registry *registry = NULL;
    enum error error = storage_open(folder, 1000, storage, problem);
    if (error)
        fprintf(stderr, "%s\n", problem);
    assert(!error);
    struct storage_bounds bounds = storage_bounds(*storage);
    struct registry_options options = {.hash_seed = 1,
                                       .ttl_ms = TTL_MS,
                                       .cleanup_interval_ms = 60000,
                                       .cache_expiry_ms = 300000,
                                       .change_log_capacity = 64,
                                       .node_id = "n1",
                                       .tombstone_ms = 600000,
                                       .storing = true,
                                       .hlc_floor = bounds.hlc,
                                       .revision_floor = bounds.revision};
    error = registry_create(&options, now, &registry);
    assert(!error);
    error = storage_load(*storage, registry, TTL_MS, now);
    assert(!error);
    return registry;
}

static void check_file(bool is_input)
{
    struct storage *storage = NULL;
    struct storage_status status;
    struct registry *registry = start(&storage);
    storage_status(storage, &status);
    if (is_input) {
        nftw(folder, check_set_aside, 8, FTW_PHYS);
        assert(files.set_aside == status.files_set_aside);
    } else {
        assert(status.files_set_aside == 0 && status.invalid_rows == 0);
    }
    check_records(registry);
    check_registers(registry);
    registry_validate(registry);
    enum error error = storage_start(storage);
    assert(!error);
    storage_close(storage);
    registry_free(registry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!valid_size)
        prepare();
    if (size == 0)
        return 0;
    write_input(data, size);
    files.size = read_file(path, files.before, sizeof(files.before));
    files.set_aside = 0;
    check_file(true);
    check_file(false); /* storage_close has stored what was loaded, and the new instance */
    return 0;
}
