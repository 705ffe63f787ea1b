/* SPDX-License-Identifier: Apache-2.0
 *
 * Queries of peers: digests, keys and records for anti-entropy, and lease checks.
 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/json/codec_peer.h"

static struct json_writer begin(struct response *response)
{
    struct json_writer w = jw_to(&response->body, CASING_SNAKE);
    jw_open(&w, '{');
    codec_write_status(&w, DIALECT_SNAKE, ERR_NONE, NULL, false);
    return w;
}

enum error handle_peer_digest(struct request *request, struct response *response,
                              char message[MESSAGE_BYTES])
{
    (void)message;
    uint64_t digests[DIGEST_BUCKETS];
    char tag[DIGESTS_TAG_BYTES];
    const char *known = request_header(request, HEADER_IF_NONE_MATCH);
    registry_digests(request->engine->registry, digests);
    registry_digests_tag(digests, tag);
    response->not_modified = known && strcmp(known, tag) == 0;
    if (response->not_modified)
        return ERR_NONE;
    struct json_writer w = begin(response);
    jw_name(&w, "digests");
    jw_open(&w, '[');
    for (int i = 0; i < DIGEST_BUCKETS; i++)
        jw_u64(&w, digests[i]);
    jw_close(&w, ']');
    jw_close(&w, '}');
    return ERR_NONE;
}

/* --- buckets and records ---------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
    uint64_t x = ((const struct record_copy *)a)->hlc;
    uint64_t y = ((const struct record_copy *)b)->hlc;
    return (x > y) - (x < y);
}

/* In the order of their stamps: what changed together is similar, and is compressed better. */
static enum error write_buckets(struct request *request, struct response *response,
                                const struct bucket_set *set)
{
    struct registry *registry = request->engine->registry;
    struct record_copy *copies;
    size_t count;
    enum error error = registry_list_buckets(registry, set, &copies, &count);
    if (error)
        return error;
    if (count)
        qsort(copies, count, sizeof(*copies), compare_times);
    struct json_writer w = begin(response);
    jw_name(&w, "instance_keys");
    jw_open(&w, '[');
    for (size_t i = 0; i < count; i++) {
        struct wire_record record =
            registry_wire_record(request->engine->registry, &copies[i], request->now);
        codec_write_peer_key(&w, &record, false);
        record_copy_unref(&copies[i]);
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
    free(copies);
    return ERR_NONE;
}

/* A response about the keys of a request. */
struct key_query {
    const char *list; /* name of the list in the response */
    /* Writes what this node holds of a key; nothing if it is unknown. */
    void (*write)(struct json_writer *w, const struct request *request,
                  const struct instance_key *key);
    size_t bytes_max; /* records beyond it are left out; a request may repeat a key */
};

static enum error write_held(struct request *request, struct response *response,
                             const struct key_query *query, char message[MESSAGE_BYTES])
{
    struct batch *batch;
    enum name_casing names;
    enum error error = batch_parse(request_body(request), BATCH_OF_KEYS, &batch, &names, message);
    if (error)
        return error;
    struct json_writer w = begin(response);
    jw_name(&w, query->list);
    jw_open(&w, '[');
    for (size_t i = 0; i < batch_count(batch) && !error; i++) {
        struct instance_key key;
        if (response->body.size > query->bytes_max) {
            atomic_fetch_add_explicit(&request->engine->fetches_cut, 1, memory_order_relaxed);
            break;
        }
        error = batch_key(batch, i, &key);
        if (!error)
            query->write(&w, request, &key);
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
    if (error == ERR_INVALID_FIELD)
        snprintf(message, MESSAGE_BYTES, "instance_keys: an item is not an instance key");
    batch_free(batch);
    return error;
}

static void write_record(struct json_writer *w, const struct request *request,
                         const struct instance_key *key)
{
    struct record_copy copy;
    if (!registry_read_key(request->engine->registry, instance_key_packed(key), &copy))
        return;
    struct wire_record record =
        registry_wire_record(request->engine->registry, &copy, request->now);
    if (!record.deleted)
        codec_write_peer_instance(w, &record, false);
    record_copy_unref(&copy);
}

/* A record is much larger than its key. */
static const struct key_query fetch = {"instances", write_record, PEER_FETCH_BYTES_MAX};

enum error handle_peer_records(struct request *request, struct response *response,
                               char message[MESSAGE_BYTES])
{
    struct document *document;
    enum error error = document_parse(request_body(request), &document, message);
    if (error)
        return error;
    uint64_t buckets[DIGEST_BUCKETS];
    size_t count;
    bool given;
    error = document_numbers(document, "buckets", DIGEST_BUCKETS - 1, DIGEST_BUCKETS, buckets,
                             &count, &given, message);
    document_free(document);
    if (error)
        return error;
    if (!given)
        return write_held(request, response, &fetch, message);
    struct bucket_set set = {0};
    for (size_t i = 0; i < count; i++)
        bucket_set_add(&set, (uint32_t)buckets[i]);
    return write_buckets(request, response, &set);
}

/* --- leases ----------------------------------------------------------------------------------- */

static void write_lease(struct json_writer *w, const struct request *request,
                        const struct instance_key *key)
{
    struct wire_record record;
    struct node_id *node;
    if (!registry_respond_lease_check(request->engine->registry, instance_key_packed(key),
                                      request->now, &record, &node))
        return;
    record.key = key;
    codec_write_peer_key(w, &record, false);
    node_id_unref(node);
}

/* The node that sent the lease check evicts what the response leaves out, so it is never cut. Its
 * size follows the request. */
static const struct key_query lease_check = {"instance_keys", write_lease, SIZE_MAX};

enum error handle_peer_lease_check(struct request *request, struct response *response,
                                   char message[MESSAGE_BYTES])
{
    return write_held(request, response, &lease_check, message);
}
