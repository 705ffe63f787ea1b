/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_calls - the batch calls of the registry without HTTP: register, heartbeat, unregister.
 *
 * A call decodes a JSON body, applies each item to the engine and appends the JSON response. HTTP
 * handlers and WebSockets share these calls. The caller has asked engine_admit before (for HTTP
 * requests input.c does). Any thread; a call belongs to one thread.
 */
#pragma once

#include "artemis-core/json/codec.h"
#include "artemis-server/engine.h"
#include "artemis-web/write_audit.h"

struct batch_call {
    struct engine *engine;
    struct moment now;
    struct slice body;         /* borrowed until the call returns */
    bool java;                 /* the caller speaks the Java dialect */
    const struct token *token; /* of the client; NULL: it may change all services */
    struct write_audit audit;  /* zero: the call is not recorded in the audit log */
    uint32_t peer;             /* identifies the sender of replicated items; 0: a client */
    enum name_casing names;    /* in: of the names outside of the body; out: and of those in it */
    uint64_t transit_ms;       /* of a call from a peer: is added to the ages of its records */
    size_t failed_bytes_max;   /* failed items beyond this size are left out of the response; 0: no
                                limit */
    struct text *response;     /* appended to if an item failed; untouched when the call fails */
    struct slice success;      /* out: the response if no item failed, a constant; else empty */
    enum error outcome;        /* out: the error of the first failed item, or ERR_NONE */
    bool not_ready;            /* out: an instance is unknown here, and peers may hold it */
};

/* Each changes nothing if it fails with ERR_INVALID_JSON, ERR_INVALID_FIELD or ERR_TOO_MANY_ITEMS,
 * with *message. With ERR_NO_MEMORY the items before the failure are applied, and perhaps later
 * ones. An item that fails is listed in the response. A heartbeat fails with ERR_NOT_READY, after
 * it has renewed what is known here, if call->not_ready. */
MUST_USE enum error registry_call_register(struct batch_call *call, char message[MESSAGE_BYTES]);
MUST_USE enum error registry_call_heartbeat(struct batch_call *call, char message[MESSAGE_BYTES]);
MUST_USE enum error registry_call_unregister(struct batch_call *call, char message[MESSAGE_BYTES]);

/* Applies items to the engine, from *next on, and moves *next to the first that is left. It records
 * a failure of an item in the batch and returns ERR_NONE; a returned error fails the whole call. */
typedef enum error batch_call_apply(struct batch_call *call, struct batch *batch, size_t *next);
/* The same for other kinds of items. */
MUST_USE enum error registry_call_batch(struct batch_call *call, enum batch_kind kind,
                                        batch_call_apply *apply, char message[MESSAGE_BYTES]);
