/* SPDX-License-Identifier: Apache-2.0
 *
 * The snapshot: all records of this node, for a node that bootstraps. The body is encoded while it
 * is sent, 256 records at a time, so it needs the memory of one service and blocks no other
 * request. A slow reader keeps that memory, so at most as many snapshots are sent at the same time
 * as there can be peers. The last member, `complete`, marks a complete snapshot; the reader
 * discards a snapshot without it.
 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "artemis-core/json/codec_peer.h"
#include "artemis-server/clock.h"

enum { RECORDS_PER_PIECE = 256, SNAPSHOTS_MAX = REPLICATOR_PEERS_MAX };

struct snapshot {
    struct engine *engine;
    struct registry_cursor cursor;
    struct json_writer w; /* writes to the current piece */
    bool begun;
    bool in_tombstones;
    char id[ID_BYTES_MAX];
    struct record_copy *copies; /* the service, or the tombstones, being written */
    size_t count;
    size_t at;
};

static void drop_states(struct snapshot *snapshot)
{
    while (snapshot->at < snapshot->count)
        record_copy_unref(&snapshot->copies[snapshot->at++]);
    free(snapshot->copies);
    snapshot->copies = NULL;
    snapshot->count = snapshot->at = 0;
}

static void free_snapshot(void *context)
{
    struct snapshot *snapshot = context;
    atomic_fetch_sub_explicit(&snapshot->engine->snapshots, 1, memory_order_relaxed);
    drop_states(snapshot);
    free(snapshot);
}

static void begin(struct snapshot *snapshot)
{
    snapshot->begun = true;
    jw_open(&snapshot->w, '{');
    codec_write_status(&snapshot->w, DIALECT_SNAKE, ERR_NONE, NULL, false);
    jw_name(&snapshot->w, "services");
    jw_open(&snapshot->w, '[');
}

static void begin_tombstones(struct snapshot *snapshot)
{
    snapshot->in_tombstones = true;
    jw_close(&snapshot->w, ']');
    jw_name(&snapshot->w, "tombstones");
    jw_open(&snapshot->w, '[');
}

static void end(struct snapshot *snapshot)
{
    if (!snapshot->in_tombstones)
        begin_tombstones(snapshot);
    jw_close(&snapshot->w, ']');
    jw_name(&snapshot->w, "complete");
    jw_bool(&snapshot->w, true);
    jw_close(&snapshot->w, '}');
}

static void open_service(struct snapshot *snapshot, struct slice id)
{
    jw_open(&snapshot->w, '{');
    jw_name(&snapshot->w, "service_id");
    jw_text(&snapshot->w, id);
    jw_name(&snapshot->w, "instances");
    jw_open(&snapshot->w, '[');
}

static void write_some(struct snapshot *snapshot)
{
    struct moment now = clock_now();
    for (int i = 0; i < RECORDS_PER_PIECE && snapshot->at < snapshot->count; i++) {
        struct record_copy *copy = &snapshot->copies[snapshot->at++];
        struct wire_record record = registry_wire_record(snapshot->engine->registry, copy, now);
        if (snapshot->in_tombstones)
            codec_write_peer_key(&snapshot->w, &record, false);
        else
            codec_write_peer_instance(&snapshot->w, &record, false);
        record_copy_unref(copy);
    }
    if (snapshot->at < snapshot->count)
        return;
    drop_states(snapshot);
    if (!snapshot->in_tombstones) {
        jw_close(&snapshot->w, ']');
        jw_close(&snapshot->w, '}');
    }
}

/* Encodes the next piece; sets *ended with the last one. */
static enum error next_piece(void *context, struct text *piece, bool *ended)
{
    struct snapshot *snapshot = context;
    snapshot->w.out = piece;
    if (!snapshot->begun)
        begin(snapshot);
    if (!snapshot->copies) {
        struct slice id;
        enum error error =
            registry_snapshot_next(snapshot->engine->registry, &snapshot->cursor, snapshot->id, &id,
                                   &snapshot->copies, &snapshot->count);
        if (error)
            return error;
        if (snapshot->count == 0) {
            *ended = true;
            end(snapshot);
        } else if (id.size) {
            open_service(snapshot, id);
        } else if (!snapshot->in_tombstones) {
            begin_tombstones(snapshot);
        }
    }
    if (snapshot->copies)
        write_some(snapshot);
    return text_failed(piece) ? ERR_NO_MEMORY : ERR_NONE;
}

enum error handle_peer_services(struct request *request, struct response *response,
                                char message[MESSAGE_BYTES])
{
    struct engine *engine = request->engine;
    if (engine_state(engine) == NODE_STARTING)
        return ERR_NOT_READY; /* a partial copy must not count as a snapshot */
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (!snapshot)
        return ERR_NO_MEMORY;
    snapshot->engine = engine;
    if (atomic_fetch_add_explicit(&engine->snapshots, 1, memory_order_relaxed) >= SNAPSHOTS_MAX) {
        free_snapshot(snapshot);
        snprintf(message, MESSAGE_BYTES, "snapshots: at most %d are sent at the same time",
                 SNAPSHOTS_MAX);
        return ERR_OVERLOADED;
    }
    snapshot->w = jw_to(NULL, CASING_SNAKE);
    response->kind = RESPONSE_STREAM;
    response->stream = (struct response_stream){next_piece, free_snapshot, snapshot};
    return ERR_NONE;
}
