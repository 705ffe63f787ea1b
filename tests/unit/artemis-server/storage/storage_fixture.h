/* SPDX-License-Identifier: Apache-2.0
 *
 * storage_fixture - shared by the tests of the storage: a folder, and a node that stores in it.
 */
#pragma once

#include <sqlite3.h>

#include "artemis-core/model/stamp.h"
#include "artemis-server/storage/storage.h"
#include "artemis-server/storage/storage_writer.h"
#include "tests/support/failing_vfs.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { TOMBSTONE_MS = 600000, INTERVAL_MS = 10, INSTANCES = 2000 };

static struct temp_folder folder;
static char problem[DATABASE_PROBLEM_BYTES];

static inline int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    failing_vfs_set(SQLITE_OK);
    failing_vfs_hang(false);
    temp_folder_remove(&folder);
    return 0;
}

/* --- a node: a registry and a writer, in virtual time ----------------------------------------- */

struct node {
    struct registry *registry;
    struct storage *storage;
    struct storage_writer writer;
};

static inline struct registry *storing_registry(const struct storage *storage, struct moment now)
{
    struct storage_bounds bounds = storage_bounds(storage);
    struct registry_options options = usual_options();
    struct registry *registry = NULL;
    options.storing = true;
    options.tombstone_ms = TOMBSTONE_MS;
    options.node_id = "n1";
    options.hlc_floor = bounds.hlc;
    options.revision_floor = bounds.revision;
    assert_int_equal(registry_create(&options, now, &registry), ERR_NONE);
    return registry;
}

/* Starts a node whose storage thread does not run. */
static inline struct node start(struct moment now)
{
    struct node node = {0};
    assert_int_equal(storage_open(folder.path, INTERVAL_MS, &node.storage, problem), ERR_NONE);
    node.registry = storing_registry(node.storage, now);
    assert_int_equal(storage_load(node.storage, node.registry, TTL_MS, now), ERR_NONE);
    return node;
}

static inline void stop(struct node *node)
{
    storage_close(node->storage);
    registry_free(node->registry);
}

/* A node that runs with a writer in virtual time. */
static inline struct node start_writer(struct moment now)
{
    struct node node = {0};
    struct database *database = NULL;
    struct registry_options options = usual_options();
    options.storing = true;
    options.tombstone_ms = TOMBSTONE_MS;
    options.node_id = "n1";
    assert_int_equal(registry_create(&options, now, &node.registry), ERR_NONE);
    assert_int_equal(database_open(folder.path, &database, problem), DATABASE_OPENED);
    storage_writer_init(&node.writer, folder.path, database, node.registry);
    return node;
}

static inline void stop_writer(struct node *node)
{
    storage_writer_free(&node->writer);
    registry_free(node->registry);
}

static inline enum error commit(struct node *node, uint64_t ms)
{
    return storage_writer_commit(&node->writer, at_ms(ms), false);
}

/* Loads what is stored, in a new node. */
static inline void check_loaded(size_t instances, size_t tombstones)
{
    struct node node = start(at_ms(100000));
    assert_int_equal(stats_of(node.registry).instances, instances);
    assert_int_equal(stats_of(node.registry).tombstones, tombstones);
    registry_validate(node.registry);
    stop(&node);
}
