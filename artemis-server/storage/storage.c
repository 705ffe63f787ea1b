/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/storage/storage.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "artemis-core/base/sim_bug.h"
#include "artemis-core/json/codec_stored.h"
#include "artemis-core/model/hlc.h"
#include "artemis-core/model/stamp.h"
#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis-server/storage/storage_writer.h"

enum { US_PER_MS = 1000 };

struct storage {
    const char *folder;
    uint32_t commit_interval_ms;
    struct storage_bounds bounds; /* as loaded */
    struct storage_writer writer; /* used by the thread alone while it runs */
    uint64_t files_set_aside;     /* before the thread ran */
    atomic_bool is_complete;
    bool is_running;
    pthread_t id;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t stopped;
        bool stop;
        bool is_committing;
        uint64_t committing; /* changes that this commit or failed ones have taken, about */
        struct storage_status status;
    } _shared;
};

/* --- opening ---------------------------------------------------------------------------------- */

/* Gives a file that cannot be used a new name. */
static enum error set_aside(struct storage *storage, enum database_state state,
                            char problem[DATABASE_PROBLEM_BYTES])
{
    char reason[DATABASE_PROBLEM_BYTES];
    char name[DATABASE_PATH_BYTES];
    snprintf(reason, sizeof(reason), "%s", problem);
    if (database_set_aside(storage->folder, database_state_word(state), name, problem))
        return ERR_SYSTEM;
    storage->files_set_aside++;
    log_event(LOG_LEVEL_ERROR,
              "the stored records cannot be used and are not loaded; the file is set aside",
              LOG_TEXT("reason", reason), LOG_TEXT("file", name));
    return ERR_NONE;
}

/* *out NULL: there is no space for the file; the writer tries again. */
static enum error open_database(struct storage *storage, struct database **out,
                                char problem[DATABASE_PROBLEM_BYTES])
{
    const char *folder = storage->folder;
    enum error error = database_make_folder(folder, problem);
    if (error)
        return error;
    enum database_state state = database_open(folder, out, problem);
    if (state == DATABASE_FOREIGN || state == DATABASE_NEWER || state == DATABASE_DAMAGED) {
        error = set_aside(storage, state, problem);
        if (error)
            return error;
        state = database_open(folder, out, problem);
    }
    if (state != DATABASE_FULL)
        return state == DATABASE_OPENED ? ERR_NONE : ERR_SYSTEM;
    log_event(LOG_LEVEL_ERROR,
              "the disk is full: records are in memory only until the storage file can be created",
              LOG_TEXT("reason", problem));
    *out = NULL;
    return ERR_NONE;
}

/* SQLite has no checksums, so a damaged number may look valid. One in the far future would make
 * this node issue stamps that all peers refuse, for good. Without it, the loaded records still set
 * the clock. */
static uint64_t plausible_bound(const char *name, uint64_t bound, uint64_t max)
{
    if (bound <= max)
        return bound;
    log_event(LOG_LEVEL_ERROR, "a stored bound of stamps or revisions is not valid; it is ignored",
              LOG_TEXT("bound", name), LOG_NUMBER("value", bound), LOG_NUMBER("max", max));
    return 0;
}

/* The bound of stamps is ahead of all that have been issued. */
static void check_shared(struct storage_bounds *bounds)
{
    if (bounds->hlc <= bounds->shared.hlc)
        bounds->shared = (struct shared_records){0};
}

static void check_bounds(struct storage_bounds *bounds, struct moment now)
{
    uint64_t max_ms = now.wall_ms + CLOCK_AHEAD_MAX_MS + BOUND_AHEAD_MS;
    check_shared(bounds);
    bounds->hlc = plausible_bound("stamp", bounds->hlc, hlc_after(0, max_ms));
    bounds->revision = plausible_bound("revision", bounds->revision, max_ms * US_PER_MS);
}

static enum error read_bounds(struct database *database, struct storage_bounds *bounds)
{
    uint64_t complete = 0;
    enum error error = database_number(database, NUMBER_HLC_BOUND, &bounds->hlc);
    if (!error)
        error = database_number(database, NUMBER_REVISION_BOUND, &bounds->revision);
    if (!error)
        error = database_number(database, NUMBER_SAVED_MS, &bounds->saved_ms);
    if (!error)
        error = database_number(database, NUMBER_SHARED_EPOCH, &bounds->shared.epoch);
    if (!error)
        error = database_number(database, NUMBER_SHARED_HLC, &bounds->shared.hlc);
    if (!error)
        error = database_number(database, NUMBER_SHARED_AGE_MS, &bounds->shared_age_ms);
    if (!error)
        error = database_number(database, NUMBER_RETENTION_MS, &bounds->retention_ms);
    if (!error)
        error = database_number(database, NUMBER_COMPLETE, &complete);
    bounds->is_complete = complete == 1;
    check_bounds(bounds, clock_now());
    return error;
}

/* Opens the file and reads the bounds. Damage that shows while they are read counts as on
 * opening. */
static enum error open_and_read(struct storage *storage, struct database **database,
                                char problem[DATABASE_PROBLEM_BYTES])
{
    enum error error = open_database(storage, database, problem);
    if (error || !*database || !read_bounds(*database, &storage->bounds))
        return error;
    snprintf(problem, DATABASE_PROBLEM_BYTES, "%s", database_problem(*database));
    bool is_damaged = database_is_damaged(*database);
    database_close(*database);
    *database = NULL;
    storage->bounds = (struct storage_bounds){0};
    if (!is_damaged || set_aside(storage, DATABASE_DAMAGED, problem))
        return ERR_SYSTEM;
    return open_database(storage, database, problem);
}

enum error storage_open(const char *folder, uint32_t commit_interval_ms, struct storage **out,
                        char problem[DATABASE_PROBLEM_BYTES])
{
    struct database *database = NULL;
    struct storage *storage = calloc(1, sizeof(*storage));
    if (!storage) {
        snprintf(problem, DATABASE_PROBLEM_BYTES, "out of memory");
        return ERR_NO_MEMORY;
    }
    storage->folder = folder;
    storage->commit_interval_ms = commit_interval_ms;
    enum error error = open_and_read(storage, &database, problem);
    if (error) {
        free(storage);
        return error;
    }
    storage_writer_init(&storage->writer, folder, database, NULL);
    storage->_shared.status.up = database != NULL;
    memcpy(storage->_shared.status.problem, storage->writer.problem, DATABASE_PROBLEM_BYTES);
    pthread_mutex_init(&storage->_shared.lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&storage->_shared.stopped, &attributes);
    pthread_condattr_destroy(&attributes);
    *out = storage;
    return ERR_NONE;
}

struct storage_bounds storage_bounds(const struct storage *storage)
{
    return storage->bounds;
}

/* --- loading ---------------------------------------------------------------------------------- */

struct load {
    struct registry *registry;
    struct moment now;
    uint64_t away_ms; /* if it is not known: longer than any lease */
    bool is_away_known;
    uint64_t retention_ms; /* the retention clock, which counts the age of tombstones */
    uint64_t instances, tombstones, invalid;
};

static enum error load_tombstone_row(struct load *load, struct wire_record *record,
                                     const struct database_row *row)
{
    struct instance_key key;
    enum error error = instance_key_unpack(row->key, &key);
    if (error)
        return error;
    record->key = &key;
    record->deleted = true;
    record->age_ms = load->retention_ms > row->since_ms ? load->retention_ms - row->since_ms : 0;
    error = registry_load(load->registry, record, load->now);
    load->tombstones += !error;
    return error;
}

static enum error load_instance_row(struct load *load, struct wire_record *record,
                                    const struct database_row *row)
{
    enum error error = codec_read_stored(row->body, &record->instance);
    if (error)
        return error;
    record->age_ms = load->away_ms;
    error = slice_equal(instance_packed_key(record->instance), row->key)
                ? registry_load(load->registry, record, load->now)
                : ERR_INVALID_FIELD;
    instance_unref(record->instance);
    load->instances += !error;
    return error;
}

/* The id of a node goes into messages to peers, which read JSON without zero bytes. */
static bool is_valid_node(struct slice node)
{
    return node.size > 0 && node.size <= ID_BYTES_MAX && !memchr(node.data, 0, node.size) &&
           text_is_utf8(node);
}

/* Loads one row; one that is not valid is counted and skipped. */
static enum error load_row(void *context, const struct database_row *row)
{
    struct load *load = context;
    struct wire_record record = {.stamp = {row->hlc, row->node}};
    enum error error = ERR_INVALID_FIELD;
    bool is_tombstone =
        !row->body.size || codec_read_stored_revision(row->body, &record.client_revision);
    if (row->hlc && is_valid_node(row->node))
        error = is_tombstone ? load_tombstone_row(load, &record, row)
                             : load_instance_row(load, &record, row);
    if (!error || error == ERR_NO_MEMORY)
        return error;
    load->invalid++;
    return ERR_NONE;
}

/* The file is damaged: what was loaded stays, in a new file. */
static enum error continue_in_new_file(struct storage *storage)
{
    struct storage_writer *writer = &storage->writer;
    char problem[DATABASE_PROBLEM_BYTES];
    snprintf(problem, sizeof(problem), "%s", database_problem(writer->database));
    database_close(writer->database);
    writer->database = NULL;
    writer->rewrite_needed = true;
    storage->bounds.is_complete = false; /* the rest is lost */
    enum error error = set_aside(storage, DATABASE_DAMAGED, problem);
    if (!error)
        error = open_database(storage, &writer->database, problem);
    writer->failures = writer->database ? 0 : 1;
    if (error)
        log_event(LOG_LEVEL_ERROR, "the storage cannot be used", LOG_TEXT("reason", problem));
    return error;
}

static void note_load(struct storage *storage, const struct load *load, uint64_t duration_ms)
{
    struct storage_status *status = &storage->_shared.status;
    status->loaded_instances = load->instances;
    status->loaded_tombstones = load->tombstones;
    status->invalid_rows = load->invalid;
    status->load_ms = duration_ms;
    status->away_ms = load->is_away_known ? load->away_ms : 0;
    status->is_away_known = load->is_away_known;
    status->files_set_aside = storage->files_set_aside;
    status->loaded_complete = storage->bounds.is_complete;
    atomic_store(&storage->is_complete, storage->bounds.is_complete);
    log_event(LOG_LEVEL_INFO, "storage loaded", LOG_TEXT("folder", storage->folder),
              LOG_NUMBER("instances", load->instances), LOG_NUMBER("tombstones", load->tombstones),
              LOG_NUMBER("away_ms", status->away_ms), LOG_NUMBER("duration_ms", duration_ms));
    if (load->invalid)
        log_event(LOG_LEVEL_ERROR, "stored records are not valid and were not loaded",
                  LOG_NUMBER("count", load->invalid));
}

/* An earlier version did not store it, and counted by the wall clock. */
static uint64_t loaded_retention_ms(const struct storage_bounds *bounds, struct moment now)
{
    if (bounds->retention_ms)
        return bounds->retention_ms;
    return bounds->saved_ms ? bounds->saved_ms : now.wall_ms;
}

enum error storage_load(struct storage *storage, struct registry *registry, uint64_t ttl_ms,
                        struct moment now)
{
    uint64_t saved_ms = storage->bounds.saved_ms;
    struct load load = {
        .registry = registry,
        .now = now,
        .is_away_known = saved_ms && now.wall_ms >= saved_ms, /* else the wall clock went back */
        .retention_ms = loaded_retention_ms(&storage->bounds, now),
    };
    load.away_ms = load.is_away_known ? now.wall_ms - saved_ms : UINT64_MAX;
    struct storage_writer *writer = &storage->writer;
    uint64_t start_ms = clock_now().mono_ms;
    writer->registry = registry;
    writer->retention_base_ms = load.retention_ms - now.mono_ms;
    storage->bounds.shared.compared_ms = now.mono_ms - storage->bounds.shared_age_ms;
    registry_set_shared(registry, storage->bounds.shared);
    enum error error =
        writer->database ? database_each_row(writer->database, load_row, &load) : ERR_NONE;
    if (error == ERR_SYSTEM && database_is_damaged(writer->database))
        error = continue_in_new_file(storage);
    else if (error == ERR_SYSTEM)
        log_event(LOG_LEVEL_ERROR, "the stored records cannot be read",
                  LOG_TEXT("reason", database_problem(writer->database)));
    writer->rewrite_needed |= load.invalid != 0;
    storage->bounds.is_complete &= load.invalid == 0;
    writer->loaded_saved_ms = load.instances ? saved_ms : 0;
    writer->loaded_until_ms = now.mono_ms + ttl_ms;
    if (!error)
        note_load(storage, &load, clock_now().mono_ms - start_ms);
    return error;
}

/* --- the thread ------------------------------------------------------------------------------- */

static void log_set_aside(const struct storage_writer *writer)
{
    log_event(LOG_LEVEL_ERROR,
              "the storage file cannot be used any more; it is set aside, and all records are "
              "written to a new file. Check the disk",
              LOG_TEXT("reason", writer->set_aside_reason),
              LOG_TEXT("file", writer->set_aside_name));
}

static void log_result(const struct storage_writer *writer, unsigned failures_before)
{
    if (writer->failures && !failures_before)
        log_event(LOG_LEVEL_ERROR,
                  "storage failed: records are in memory only until a commit succeeds; check the "
                  "space and the rights of the data folder. Commits are tried again",
                  LOG_TEXT("folder", writer->folder), LOG_TEXT("reason", writer->problem));
    if (!writer->failures && failures_before)
        log_event(LOG_LEVEL_INFO, "storage works again: all records are stored",
                  LOG_TEXT("folder", writer->folder),
                  LOG_NUMBER("failed_commits", failures_before));
}

static void publish(struct storage *storage)
{
    const struct storage_writer *writer = &storage->writer;
    struct storage_status *status = &storage->_shared.status;
    pthread_mutex_lock(&storage->_shared.lock);
    storage->_shared.is_committing = false;
    if (!writer->failures)
        storage->_shared.committing = 0;
    status->up = writer->failures == 0;
    status->commits = writer->commits;
    status->rows_written = writer->rows_written;
    status->failed_commits = writer->failed_commits;
    status->rewrites = writer->rewrites;
    status->files_set_aside = storage->files_set_aside + writer->files_set_aside;
    status->committed_ms = writer->committed_ms;
    snprintf(status->problem, sizeof(status->problem), "%s", status->up ? "" : writer->problem);
    pthread_mutex_unlock(&storage->_shared.lock);
}

/* Keeps what a commit is about to take out of the lists of the registry in the status. */
static void note_committing(struct storage *storage)
{
    uint64_t count = registry_unstored(storage->writer.registry);
    pthread_mutex_lock(&storage->_shared.lock);
    storage->_shared.is_committing = true;
    storage->_shared.committing += count;
    pthread_mutex_unlock(&storage->_shared.lock);
}

void storage_commit(struct storage *storage, bool is_last)
{
    unsigned failures_before = storage->writer.failures;
    uint64_t set_aside_before = storage->writer.files_set_aside;
    bool is_complete = atomic_load(&storage->is_complete);
    if (is_complete != storage->writer.is_complete)
        storage->writer.bounds_ms = 0; /* at once */
    storage->writer.is_complete = is_complete;
    note_committing(storage);
    enum error error = storage_writer_commit(&storage->writer, clock_now(), is_last);
    (void)error; /* in writer.failures */
    if (storage->writer.files_set_aside != set_aside_before)
        log_set_aside(&storage->writer);
    log_result(&storage->writer, failures_before);
    publish(storage);
}

/* Waits for one interval; true when it is time to end. */
static bool wait_for_interval(struct storage *storage)
{
    uint64_t next_ms = clock_now().mono_ms + storage->commit_interval_ms;
    struct timespec until = {.tv_sec = (time_t)(next_ms / 1000),
                             .tv_nsec = (long)(next_ms % 1000) * 1000000};
    int result = 0;
    pthread_mutex_lock(&storage->_shared.lock);
    while (!storage->_shared.stop && !result)
        result = pthread_cond_timedwait(&storage->_shared.stopped, &storage->_shared.lock, &until);
    bool stop = storage->_shared.stop;
    pthread_mutex_unlock(&storage->_shared.lock);
    return stop;
}

static void *run(void *argument)
{
    struct storage *storage = argument;
    while (!wait_for_interval(storage))
        storage_commit(storage, false);
    return NULL;
}

enum error storage_start(struct storage *storage)
{
    storage_commit(storage, false);
    if (pthread_create(&storage->id, NULL, run, storage) != 0)
        return ERR_SYSTEM;
    pthread_setname_np(storage->id, "storage");
    storage->is_running = true;
    return ERR_NONE;
}

void storage_stop(struct storage *storage, bool is_last)
{
    pthread_mutex_lock(&storage->_shared.lock);
    storage->_shared.stop = true;
    pthread_cond_signal(&storage->_shared.stopped);
    pthread_mutex_unlock(&storage->_shared.lock);
    if (storage->is_running) {
        pthread_join(storage->id, NULL);
        storage_commit(storage, is_last);
    }
    storage->is_running = false;
}

void storage_close(struct storage *storage)
{
    if (!storage)
        return;
    storage_stop(storage, true);
    storage_writer_free(&storage->writer);
    pthread_cond_destroy(&storage->_shared.stopped);
    pthread_mutex_destroy(&storage->_shared.lock);
    free(storage);
}

void storage_set_complete(struct storage *storage)
{
    atomic_store(&storage->is_complete, true);
}

/* --- after the load --------------------------------------------------------------------------- */

bool storage_has_data(struct storage *storage)
{
    struct storage_status status;
    storage_status(storage, &status);
    return status.loaded_instances > 0 && status.loaded_complete;
}

/* The highest stamp of loaded instances that no ready peer holds and that are evicted; 0: none. A
 * node that was away for longer than a time-to-live, or does not know for how long, evicts all of
 * them: clients could renew them elsewhere alone. After a shorter time some may be known to this
 * node alone. It evicts those that a peer did hold, which has not been restarted since. If the last
 * comparison with that peer is old, this node was cut off, and the peer missed renewals. */
static uint64_t evicted_hlc_max(const struct storage *storage, const struct storage_status *status,
                                bool has_sharer, uint64_t interval_ms)
{
    enum { COMPARISONS = 2 }; /* intervals since the last comparison */
    const struct storage_bounds *bounds = &storage->bounds;
    if (!status->is_away_known || status->away_ms > registry_ttl_ms(storage->writer.registry))
        return UINT64_MAX;
    return has_sharer && bounds->shared_age_ms <= COMPARISONS * interval_ms ? bounds->shared.hlc
                                                                            : 0;
}

uint64_t storage_evict_loaded(struct storage *storage, bool has_sharer, uint64_t interval_ms,
                              struct moment now)
{
    struct storage_status status;
    storage_status(storage, &status);
    if (!status.loaded_instances || SIM_BUG(13)) /* what the peers have evicted returns */
        return 0;
    uint64_t hlc_max = evicted_hlc_max(storage, &status, has_sharer, interval_ms);
    return hlc_max ? registry_evict_loaded(storage->writer.registry, hlc_max, now) : 0;
}

/* --- status ----------------------------------------------------------------------------------- */

/* The lists are read first: what is not in them any more is in a commit that runs or has ended. */
void storage_status(struct storage *storage, struct storage_status *out)
{
    uint64_t listed = registry_unstored(storage->writer.registry);
    pthread_mutex_lock(&storage->_shared.lock);
    *out = storage->_shared.status;
    out->unstored = listed + storage->_shared.committing;
    if ((storage->_shared.is_committing || !out->up) && !out->unstored)
        out->unstored = 1;
    pthread_mutex_unlock(&storage->_shared.lock);
    out->bytes = database_bytes(storage->folder);
}
