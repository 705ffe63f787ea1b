/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/peer_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/gzip.h"
#include "artemis-core/json/codec_peer.h"
#include "artemis-server/clock.h"
#include "artemis-server/replication/peer_requests.h"

enum {
    COMPRESS_FROM_BYTES = 1024,
    CONNECT_TIMEOUT_MS = 2000,
    HEADER_BYTES = 320,
    URL_BYTES = 1024,
    ANSWER_ITEM_BYTES_MAX = 16 * 1024, /* what a peer can have to say about one key */
    SNAPSHOT_BYTES_PER_SEC_MIN = 1024,
};

/* A message on its way. */
struct call {
    struct call *next; /* of those under way, or of those at rest */
    struct call *prev;
    CURL *curl;
    struct peer_client *client;
    struct message *message;
    bool legacy;
    struct text body;
    struct curl_slist *headers;
    struct peer_reader *reader; /* of the answer */
    enum error read_error;
    uint64_t digests[DIGEST_BUCKETS];
    size_t digest_count;
    size_t answer_bytes;
};

struct peer_client {
    struct peer_client_options options;
    struct registry *registry;
    struct replicator *replicator;
    peer_client_on_response *on_response;
    void *context;
    CURLM *multi;
    struct call *in_flight;
    struct call *idle;                    /* with their curl handles, for the next message */
    char common_headers[4][HEADER_BYTES]; /* the headers of every request */
};

/* --- answers ---------------------------------------------------------------------------------- */

static void on_record(void *context, enum peer_list list, const struct wire_record *record)
{
    struct call *call = context;
    enum message_kind kind = call->message->kind;
    bool wanted = list == PEER_LIST_INSTANCES || list == PEER_LIST_KEYS;
    if (kind == MESSAGE_RENEW)
        wanted = list == PEER_LIST_FAILED;
    struct wire_record heard = *record;
    if (kind == MESSAGE_SNAPSHOT && list == PEER_LIST_KEYS)
        heard.deleted = true; /* a tombstone */
    if (wanted)
        replicator_on_record(call->client->replicator, call->message, &heard, clock_now());
}

static void on_number(void *context, uint64_t number)
{
    struct call *call = context;
    if (call->digest_count < DIGEST_BUCKETS)
        call->digests[call->digest_count] = number;
    call->digest_count++;
}

static long http_status(const struct call *call)
{
    long status = 0;
    curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* What an answer may have, unpacked. Some megabytes of gzip would keep this thread from all other
 * peers for seconds. */
static size_t answer_bytes_max(const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_SNAPSHOT:
    case MESSAGE_LIST:
        return SIZE_MAX; /* whatever the peer holds */
    case MESSAGE_FETCH:
        return (message->count + 1) * (size_t)PEER_RECORD_BYTES_MAX;
    default:
        return PEER_RECORD_BYTES_MAX + message->count * (size_t)ANSWER_ITEM_BYTES_MAX;
    }
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
    struct call *call = context;
    size *= one;
    call->answer_bytes += size;
    bool is_read = http_status(call) / 100 == 2 && call->message->kind != MESSAGE_HEALTH;
    size_t max = is_read ? answer_bytes_max(call->message) : PEER_RECORD_BYTES_MAX;
    if (call->answer_bytes > max)
        call->read_error = ERR_BODY_TOO_LARGE;
    if (is_read && !call->read_error)
        call->read_error = peer_reader_feed(call->reader, (struct slice){data, size});
    return call->read_error ? 0 : size;
}

/* --- fates ------------------------------------------------------------------------------------ */

static const char *answer_header(const struct call *call, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(call->curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

static enum send_result result_of_status(long status)
{
    if (status / 100 == 2)
        return SEND_DELIVERED;
    if (status == 413)
        return SEND_TOO_LARGE;
    if (status == 403)
        return SEND_WRONG_CLUSTER;
    if (status == 408 || status == 429 || status >= 500)
        return SEND_RETRYABLE;
    return SEND_REJECTED;
}

static enum send_result result_of_curl(const struct call *call, CURLcode code)
{
    if (code == CURLE_OK)
        return result_of_status(http_status(call));
    long system_error = 0;
    curl_easy_getinfo(call->curl, CURLINFO_OS_ERRNO, &system_error);
    if (code == CURLE_COULDNT_CONNECT && system_error == ECONNREFUSED)
        return SEND_UNREACHABLE;
    return SEND_RETRYABLE;
}

/* Whether the response is complete. A legacy peer sends no end marker. */
static bool is_whole(const struct call *call)
{
    switch (call->message->kind) {
    case MESSAGE_HEALTH:
        return true;
    case MESSAGE_SNAPSHOT:
        return call->legacy ? peer_reader_ended(call->reader) : peer_reader_complete(call->reader);
    case MESSAGE_DIGEST:
        return call->digest_count == DIGEST_BUCKETS;
    default:
        return peer_reader_ended(call->reader);
    }
}

static bool same(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* A name that a peer gives itself or its place; "" where it is none that could stand in JSON, in
 * metrics or in the log. */
static const char *answer_name(const struct call *call, const char *header)
{
    const char *name = answer_header(call, header);
    if (!name || !text_is_utf8(slice_of(name)))
        return "";
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return "";
    return name;
}

static void read_health(const struct call *call, struct peer_response *response)
{
    const struct peer_client_options *own = &call->client->options;
    const char *cluster = answer_header(call, "X-Artemis-Cluster");
    const char *state = answer_header(call, "X-Artemis-State");
    bool has_own_run = same(answer_header(call, "X-Artemis-Run"), own->epoch);
    response->has_health = true;
    response->node_id = answer_name(call, "X-Artemis-Node");
    response->region = answer_name(call, "X-Artemis-Region");
    response->zone = answer_name(call, "X-Artemis-Zone");
    const char *clock = answer_header(call, "X-Artemis-Clock");
    response->health = (struct health_response){
        .is_self = has_own_run,
        .has_own_node_id = !has_own_run && same(response->node_id, own->node_id),
        .is_wrong_cluster = cluster && strcmp(cluster, own->cluster_id) != 0,
        .is_legacy = !cluster,
        .is_ready = !state || strcmp(state, "ready") == 0,
        .is_leaving = same(state, "draining"),
        .clock_ms = clock ? strtoull(clock, NULL, 10) : 0, /* what makes no sense is out of range */
    };
}

static void end_call(struct call *call, CURLcode code)
{
    struct peer_client *client = call->client;
    char error_text[PEER_ERROR_BYTES] = "";
    struct peer_response response = {
        .message = call->message,
        .result = result_of_curl(call, code),
        .error_text = error_text,
        .node_id = "",
    };
    if (call->read_error)
        snprintf(error_text, sizeof(error_text), "%s: the answer: %s",
                 request_path(call->message->kind), error_info(call->read_error)->message);
    else if (code != CURLE_OK)
        snprintf(error_text, sizeof(error_text), "%s: %s", request_path(call->message->kind),
                 curl_easy_strerror(code));
    else if (response.result != SEND_DELIVERED)
        snprintf(error_text, sizeof(error_text), "%s: HTTP %ld", request_path(call->message->kind),
                 http_status(call));
    else if (!is_whole(call)) {
        response.result = SEND_RETRYABLE;
        snprintf(error_text, sizeof(error_text), "%s: the answer was not whole",
                 request_path(call->message->kind));
    }
    if (call->message->kind == MESSAGE_HEALTH && response.result == SEND_DELIVERED)
        read_health(call, &response);
    if (call->message->kind == MESSAGE_DIGEST && response.result == SEND_DELIVERED)
        replicator_on_digests(client->replicator, call->message, call->digests, clock_now());
    call->message = NULL; /* the receiver's now */
    client->on_response(client->context, &response);
}

/* --- calls ------------------------------------------------------------------------------------ */

static void link_call(struct call **list, struct call *call)
{
    call->prev = NULL;
    call->next = *list;
    if (*list)
        (*list)->prev = call;
    *list = call;
}

static void unlink_call(struct call **list, struct call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        *list = call->next;
    if (call->next)
        call->next->prev = call->prev;
}

static void clear_call(struct call *call)
{
    curl_slist_free_all(call->headers);
    peer_reader_free(call->reader);
    text_clear(&call->body);
    if (call->body.capacity > MESSAGE_BYTES_MAX)
        text_free(&call->body);
    if (call->message)
        message_free(call->message);
    call->headers = NULL;
    call->reader = NULL;
    call->message = NULL;
}

static void free_call(struct call *call)
{
    clear_call(call);
    text_free(&call->body);
    if (call->curl)
        curl_easy_cleanup(call->curl);
    free(call);
}

static struct call *take_call(struct peer_client *client)
{
    struct call *call = client->idle;
    if (call) {
        unlink_call(&client->idle, call);
        curl_easy_reset(call->curl);
        return call;
    }
    call = calloc(1, sizeof(*call));
    if (!call)
        return NULL;
    call->client = client;
    call->curl = curl_easy_init();
    if (call->curl)
        return call;
    free(call);
    return NULL;
}

static bool add_header(struct call *call, const char *header)
{
    struct curl_slist *longer = curl_slist_append(call->headers, header);
    if (!longer)
        return false;
    call->headers = longer;
    return true;
}

static bool write_headers(struct call *call, bool compressed)
{
    struct peer_client *client = call->client;
    bool ok = add_header(call, "Expect:") && add_header(call, "Content-Type: application/json");
    for (size_t i = 0; i < sizeof(client->common_headers) / sizeof(client->common_headers[0]); i++)
        ok = ok && add_header(call, client->common_headers[i]);
    if (compressed)
        ok = ok && add_header(call, "Content-Encoding: gzip");
    if (call->message->kind == MESSAGE_GOODBYE)
        ok = ok && add_header(call, "X-Artemis-State: draining");
    return ok;
}

/* The body, compressed where that pays and the peer understands it. */
static bool write_body(struct call *call, bool *compressed)
{
    struct text packed = {0};
    *compressed = false;
    peer_request_write_body(call->message, call->client->registry, call->legacy, clock_now(),
                            &call->body);
    if (text_failed(&call->body))
        return false;
    if (call->legacy || call->body.size < COMPRESS_FROM_BYTES)
        return true;
    if (gzip_compress((struct slice){call->body.data, call->body.size}, &packed)) {
        text_free(&packed);
        return true;
    }
    text_free(&call->body);
    call->body = packed;
    *compressed = true;
    return true;
}

static void set_timeouts(const struct call *call)
{
    uint64_t timeout_ms =
        call->message->timeout_ms ? call->message->timeout_ms : call->client->options.timeout_ms;
    long connect_ms = timeout_ms < CONNECT_TIMEOUT_MS ? (long)timeout_ms : CONNECT_TIMEOUT_MS;
    curl_easy_setopt(call->curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    if (call->message->kind != MESSAGE_SNAPSHOT) {
        curl_easy_setopt(call->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
        return;
    }
    /* As long as it takes, while it comes on: another peer may have it, too. */
    curl_easy_setopt(call->curl, CURLOPT_LOW_SPEED_LIMIT, (long)SNAPSHOT_BYTES_PER_SEC_MIN);
    curl_easy_setopt(call->curl, CURLOPT_LOW_SPEED_TIME, (long)(timeout_ms / 1000 + 1));
}

static bool write_url(const struct call *call, const char *peer)
{
    char url[URL_BYTES];
    int size = snprintf(url, sizeof(url), "%s%s", peer, request_path(call->message->kind));
    if (call->message->kind == MESSAGE_SNAPSHOT && call->legacy) {
        /* Older ones want to be told which region. */
        char *region = curl_easy_escape(call->curl, call->client->options.region, 0);
        size = snprintf(url, sizeof(url), "%s%s?regionId=%s", peer,
                        request_path(call->message->kind), region ? region : "");
        curl_free(region);
    }
    return size > 0 && (size_t)size < sizeof(url) &&
           curl_easy_setopt(call->curl, CURLOPT_URL, url) == CURLE_OK;
}

static bool prepare(struct call *call, const char *peer)
{
    CURL *curl = call->curl;
    bool compressed = false;
    bool is_get = peer_request_is_get(call->message->kind);
    call->read_error = ERR_NONE;
    call->digest_count = call->answer_bytes = 0;
    if (peer_reader_create(on_record, on_number, call, &call->reader) || !write_url(call, peer))
        return false;
    if (!is_get && !write_body(call, &compressed))
        return false;
    if (!write_headers(call, compressed))
        return false;
    set_timeouts(call);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, call);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    /* libcurl looks names up in a thread. One that hangs must be given up, not waited for: this
     * thread serves all peers, and holds the thread's lock. */
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip");
    if (!is_get) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.data);
    }
    return true;
}

void peer_client_send(struct peer_client *client, const char *url, bool legacy,
                      struct message *message)
{
    struct call *call = take_call(client);
    if (call) {
        call->message = message;
        call->legacy = legacy;
        if (prepare(call, url) && curl_multi_add_handle(client->multi, call->curl) == CURLM_OK) {
            link_call(&client->in_flight, call);
            return;
        }
        call->message = NULL;
        clear_call(call);
        link_call(&client->idle, call);
    }
    client->on_response(client->context,
                        &(struct peer_response){.message = message,
                                                .result = SEND_RETRYABLE,
                                                .error_text = error_info(ERR_NO_MEMORY)->message,
                                                .node_id = ""});
}

bool peer_client_run(struct peer_client *client)
{
    int running;
    int left;
    bool any = false;
    CURLMsg *done;
    curl_multi_perform(client->multi, &running);
    while ((done = curl_multi_info_read(client->multi, &left))) {
        if (done->msg != CURLMSG_DONE)
            continue;
        struct call *call;
        CURLcode code = done->data.result;
        curl_easy_getinfo(done->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        curl_multi_remove_handle(client->multi, call->curl);
        end_call(call, code);
        unlink_call(&client->in_flight, call);
        clear_call(call);
        link_call(&client->idle, call);
        any = true;
    }
    return any;
}

void peer_client_wait(struct peer_client *client, uint64_t timeout_ms)
{
    int count;
    curl_multi_poll(client->multi, NULL, 0, timeout_ms < 60000 ? (int)timeout_ms : 60000, &count);
}

void peer_client_wake(struct peer_client *client)
{
    curl_multi_wakeup(client->multi);
}

/* --- life ------------------------------------------------------------------------------------- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum error peer_client_create(const struct peer_client_options *options, struct registry *registry,
                              struct replicator *replicator, peer_client_on_response *on_response,
                              void *context, struct peer_client **out)
{
    pthread_once(&curl_once, start_curl);
    struct peer_client *client = calloc(1, sizeof(*client));
    if (!client)
        return ERR_NO_MEMORY;
    *client = (struct peer_client){
        .options = *options,
        .registry = registry,
        .replicator = replicator,
        .on_response = on_response,
        .context = context,
        .multi = curl_multi_init(),
    };
    if (!client->multi) {
        free(client);
        return ERR_NO_MEMORY;
    }
    curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)PEER_CONNECTIONS_MAX);
    snprintf(client->common_headers[0], HEADER_BYTES, "X-Artemis-Replication: true");
    snprintf(client->common_headers[1], HEADER_BYTES, "X-Artemis-Cluster: %s", options->cluster_id);
    snprintf(client->common_headers[2], HEADER_BYTES, "X-Artemis-Node: %s", options->node_id);
    snprintf(client->common_headers[3], HEADER_BYTES, "Accept: application/json");
    *out = client;
    return ERR_NONE;
}

void peer_client_free(struct peer_client *client)
{
    if (!client)
        return;
    while (client->in_flight) {
        struct call *call = client->in_flight;
        unlink_call(&client->in_flight, call);
        curl_multi_remove_handle(client->multi, call->curl);
        free_call(call);
    }
    while (client->idle) {
        struct call *call = client->idle;
        unlink_call(&client->idle, call);
        free_call(call);
    }
    curl_multi_cleanup(client->multi);
    free(client);
}
