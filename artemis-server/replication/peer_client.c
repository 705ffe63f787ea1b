/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/peer_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "artemis-core/base/gzip.h"
#include "artemis-core/json/codec_peer.h"
#include "artemis-server/clock.h"
#include "artemis-server/replication/peer_client_connection.h"
#include "artemis-server/replication/peer_client_response.h"
#include "artemis-server/replication/peer_requests.h"

enum {
    COMPRESS_FROM_BYTES = 1024,
    REMOTE_COMPRESS_FROM_BYTES = 256, /* a link between regions is slower than gzip */
    CONNECT_TIMEOUT_MS = 2000,
    HEADER_BYTES = 320,
    URL_BYTES = 1024,
    RESPONSE_ITEM_BYTES_MAX = 16 * 1024, /* of one item */
    SNAPSHOT_BYTES_PER_SEC_MIN = 1024,
    DETAIL_BYTES_MAX = 180,
};

/* Limits of endless responses: ten million records of 400 bytes, and five million keys. */
static const size_t SNAPSHOT_BYTES_MAX = (size_t)4 << 30, LIST_BYTES_MAX = (size_t)1 << 30;

/* A message and its HTTP request. */
struct transfer {
    LIST_ENTRY(transfer) link; /* in flight or idle */
    CURL *curl;
    struct peer_client *client;
    struct message *message;
    bool is_legacy, is_remote; /* the peer */
    struct text body;
    struct curl_slist *headers;
    struct curl_slist *connect_to;   /* the address of a peer with a name; NULL: that of the url */
    struct credentials *credentials; /* a reference; NULL: none */
    struct peer_reader *reader;      /* of the response */
    struct text text;                /* of the response to a MESSAGE_BLOCKS */
    enum error read_error;
    uint64_t digests[DIGEST_BUCKETS];
    size_t digest_count;
    size_t response_bytes;
    uint64_t clock_ms;            /* the peer's HLC when it sent the response; 0: unknown */
    uint64_t transit_ms;          /* of what is being read of the response */
    uint64_t sent_ms;             /* monotonic: when the request was prepared */
    char detail[CURL_ERROR_SIZE]; /* libcurl's description of a failure */
};

struct peer_client {
    struct peer_client_options options;
    struct registry *registry;
    struct peer_client_handler handler;
    CURLM *multi;
    LIST_HEAD(, transfer) in_flight;
    LIST_HEAD(, transfer) idle;           /* kept with their curl handles for the next messages */
    char common_headers[4][HEADER_BYTES]; /* of every request */
    char token_header[HEADER_BYTES];      /* "": none; it is secret */
};

/* --- reading a response ----------------------------------------------------------------------- */

/* Passes on the records that the kind of the message asks for. */
static void on_record(void *context, enum peer_list list, const struct wire_record *record)
{
    struct transfer *transfer = context;
    const struct peer_client_handler *handler = &transfer->client->handler;
    enum message_kind kind = transfer->message->kind;
    bool wanted = list == PEER_LIST_INSTANCES || list == PEER_LIST_KEYS;
    if (kind == MESSAGE_RENEW)
        wanted = list == PEER_LIST_FAILED;
    struct wire_record received = *record;
    wire_record_add_age(&received, transfer->transit_ms);
    if (kind == MESSAGE_SNAPSHOT && list == PEER_LIST_KEYS)
        received.deleted = true; /* a tombstone */
    if (wanted)
        handler->on_record(handler->context, transfer->message, &received);
}

static void on_number(void *context, uint64_t number)
{
    struct transfer *transfer = context;
    if (transfer->digest_count < DIGEST_BUCKETS)
        transfer->digests[transfer->digest_count] = number;
    transfer->digest_count++;
}

static long http_status(const struct transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Limit of the uncompressed response: expanding a large gzip body would block this thread, and with
 * it all other peers, for seconds. */
static size_t response_bytes_max(const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_BLOCKS:
        return BLOCKS_JSON_BYTES_MAX;
    case MESSAGE_SNAPSHOT:
        return SNAPSHOT_BYTES_MAX;
    case MESSAGE_LIST:
        return LIST_BYTES_MAX;
    case MESSAGE_FETCH:
        return (message->count + 1) * (size_t)PEER_RECORD_BYTES_MAX;
    default:
        return PEER_RECORD_BYTES_MAX + message->count * (size_t)RESPONSE_ITEM_BYTES_MAX;
    }
}

/* Measures how long the data that has arrived was in transit. A snapshot is encoded while it is
 * sent, so only the transit of its beginning is known. A response is younger than its request: that
 * bounds the transit where the clock of the peer is behind, as after a start with a wrong clock. */
static void measure_transit(struct transfer *transfer)
{
    bool is_first = transfer->response_bytes == 0;
    if (is_first)
        transfer->clock_ms = peer_client_number(transfer->curl, "X-Artemis-Clock");
    if (!is_first && transfer->message->kind == MESSAGE_SNAPSHOT)
        return;
    struct moment now = clock_now();
    uint64_t since_request_ms = now.mono_ms - transfer->sent_ms;
    transfer->transit_ms = registry_transit_ms(transfer->client->registry, transfer->clock_ms, now);
    if (transfer->transit_ms > since_request_ms)
        transfer->transit_ms = since_request_ms;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    size *= one;
    measure_transit(transfer);
    transfer->response_bytes += size;
    bool is_read = http_status(transfer) / 100 == 2 && transfer->message->kind != MESSAGE_HEALTH;
    size_t max = is_read ? response_bytes_max(transfer->message) : PEER_RECORD_BYTES_MAX;
    if (transfer->response_bytes > max)
        transfer->read_error = ERR_BODY_TOO_LARGE;
    if (is_read && !transfer->read_error && transfer->message->kind == MESSAGE_BLOCKS)
        text_append(&transfer->text, data, size);
    else if (is_read && !transfer->read_error)
        transfer->read_error = peer_reader_feed(transfer->reader, (struct slice){data, size});
    return transfer->read_error ? 0 : size;
}

/* --- send results ----------------------------------------------------------------------------- */

/* Whether the response is complete. A legacy peer sends no end marker. */
static bool is_complete(const struct transfer *transfer)
{
    switch (transfer->message->kind) {
    case MESSAGE_HEALTH:
        return true;
    case MESSAGE_BLOCKS:
        return !text_failed(&transfer->text);
    case MESSAGE_SNAPSHOT:
        return transfer->is_legacy ? peer_reader_ended(transfer->reader)
                                   : peer_reader_complete(transfer->reader);
    case MESSAGE_DIGEST:
        return transfer->digest_count == DIGEST_BUCKETS;
    default:
        return peer_reader_ended(transfer->reader);
    }
}

/* libcurl's own words where TLS is at fault: they say which check of the certificate failed. */
static const char *describe(const struct transfer *transfer, CURLcode code)
{
    const char *detail = transfer->detail;
    bool is_short = strlen(detail) <= DETAIL_BYTES_MAX && peer_client_is_printable(detail);
    return transfer->credentials && is_short ? detail : curl_easy_strerror(code);
}

/* The peer has the digests that the request named. */
static bool has_known_digests(const struct transfer *transfer, CURLcode code)
{
    enum { HTTP_NOT_MODIFIED = 304 };
    return code == CURLE_OK && transfer->message->kind == MESSAGE_DIGEST &&
           http_status(transfer) == HTTP_NOT_MODIFIED;
}

/* Sets the result, and the error text unless the message was delivered. */
static void read_result(const struct transfer *transfer, CURLcode code,
                        struct peer_response *response, char error_text[PEER_ERROR_BYTES])
{
    const char *path = peer_request_path(transfer->message->kind);
    response->result = peer_client_result(transfer->curl, code);
    if (has_known_digests(transfer, code)) {
        response->result = SEND_DELIVERED;
        return;
    }
    if (response->result == SEND_UNAUTHORIZED && transfer->message->kind == MESSAGE_HEALTH)
        response->result = SEND_REJECTED; /* a health check has no token: it is no Artemis */
    if (transfer->read_error) {
        snprintf(error_text, PEER_ERROR_BYTES, "%s: invalid response: %s", path,
                 error_info(transfer->read_error)->message);
    } else if (code != CURLE_OK) {
        snprintf(error_text, PEER_ERROR_BYTES, "%s: %.*s", path, DETAIL_BYTES_MAX,
                 describe(transfer, code));
    } else if (response->result != SEND_DELIVERED) {
        snprintf(error_text, PEER_ERROR_BYTES, "%s: HTTP %ld", path, http_status(transfer));
    } else if (!is_complete(transfer)) {
        response->result = SEND_RETRYABLE;
        snprintf(error_text, PEER_ERROR_BYTES, "%s: incomplete response", path);
    }
}

static uint64_t transferred(const struct transfer *transfer, CURLINFO which)
{
    curl_off_t bytes = 0;
    curl_easy_getinfo(transfer->curl, which, &bytes);
    return (uint64_t)bytes;
}

static void end_transfer(struct transfer *transfer, CURLcode code)
{
    const struct peer_client_handler *handler = &transfer->client->handler;
    enum message_kind kind = transfer->message->kind;
    char error_text[PEER_ERROR_BYTES] = "";
    struct peer_response response = {
        .message = transfer->message,
        .error_text = error_text,
        .node_id = "",
        .region = "",
        .zone = "",
        .client_url = "",
    };
    read_result(transfer, code, &response, error_text);
    if (transfer->response_bytes == 0)
        measure_transit(transfer);
    response.sent_bytes = transferred(transfer, CURLINFO_SIZE_UPLOAD_T);
    response.received_bytes = transferred(transfer, CURLINFO_SIZE_DOWNLOAD_T);
    /* While this node's clock is behind, the peer adds the difference to ages, and may refuse
     * updates. The replicator decides about the clock in a health response. */
    if (kind != MESSAGE_HEALTH && response.result != SEND_WRONG_CLUSTER)
        response.is_clock_ahead =
            !registry_observe_clock(transfer->client->registry, transfer->clock_ms, clock_now());
    if (kind == MESSAGE_HEALTH && response.result == SEND_DELIVERED)
        peer_client_read_health(transfer->curl, &transfer->client->options, transfer->clock_ms,
                                &response);
    if (kind == MESSAGE_DIGEST && response.result == SEND_DELIVERED)
        response.digests = transfer->digests;
    if (kind == MESSAGE_BLOCKS && response.result == SEND_DELIVERED)
        response.blocks = (struct slice){transfer->text.data, transfer->text.size};
    transfer->message = NULL; /* the handler owns it now */
    handler->on_response(handler->context, &response);
}

/* --- transfers -------------------------------------------------------------------------------- */

static void clear_transfer(struct transfer *transfer)
{
    curl_slist_free_all(transfer->headers);
    curl_slist_free_all(transfer->connect_to);
    peer_reader_free(transfer->reader);
    credentials_unref(transfer->credentials);
    text_clear(&transfer->body);
    text_free(&transfer->text);
    if (transfer->body.capacity > MESSAGE_BYTES_MAX)
        text_free(&transfer->body);
    if (transfer->message)
        message_free(transfer->message);
    transfer->headers = transfer->connect_to = NULL;
    transfer->reader = NULL;
    transfer->credentials = NULL;
    transfer->message = NULL;
}

static void free_transfer(struct transfer *transfer)
{
    clear_transfer(transfer);
    text_free(&transfer->body);
    if (transfer->curl)
        curl_easy_cleanup(transfer->curl);
    free(transfer);
}

static struct transfer *take_transfer(struct peer_client *client)
{
    struct transfer *transfer = LIST_FIRST(&client->idle);
    if (transfer) {
        LIST_REMOVE(transfer, link);
        curl_easy_reset(transfer->curl);
        return transfer;
    }
    transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return NULL;
    transfer->client = client;
    transfer->curl = curl_easy_init();
    if (transfer->curl)
        return transfer;
    free(transfer);
    return NULL;
}

static bool add_header(struct transfer *transfer, const char *header)
{
    struct curl_slist *longer = curl_slist_append(transfer->headers, header);
    if (!longer)
        return false;
    transfer->headers = longer;
    return true;
}

/* The peer sends nothing if its digests are the same. */
static void write_known_digests(struct transfer *transfer, char out[HEADER_BYTES])
{
    char tag[DIGESTS_TAG_BYTES];
    registry_digests(transfer->client->registry, transfer->digests);
    registry_digests_tag(transfer->digests, tag);
    snprintf(out, HEADER_BYTES, "If-None-Match: %s", tag);
}

static bool write_headers(struct transfer *transfer, bool compressed, struct moment now)
{
    struct peer_client *client = transfer->client;
    char clock[HEADER_BYTES];
    snprintf(clock, sizeof(clock), "X-Artemis-Clock: %llu",
             (unsigned long long)registry_clock_ms(client->registry, now));
    char known[HEADER_BYTES];
    if (transfer->message->kind == MESSAGE_DIGEST)
        write_known_digests(transfer, known);
    bool ok = add_header(transfer, "Expect:") &&
              add_header(transfer, "Content-Type: application/json") && add_header(transfer, clock);
    for (size_t i = 0; i < sizeof(client->common_headers) / sizeof(client->common_headers[0]); i++)
        ok = ok && add_header(transfer, client->common_headers[i]);
    /* A health check needs no token, and finds out who responds at the address. */
    if (client->token_header[0] && transfer->message->kind != MESSAGE_HEALTH)
        ok = ok && add_header(transfer, client->token_header);
    if (compressed)
        ok = ok && add_header(transfer, "Content-Encoding: gzip");
    if (transfer->message->kind == MESSAGE_DIGEST)
        ok = ok && add_header(transfer, known);
    if (transfer->message->kind == MESSAGE_GOODBYE)
        ok = ok && add_header(transfer, "X-Artemis-State: draining");
    return ok;
}

static bool may_compress(const struct transfer *transfer)
{
    return !transfer->is_legacy && (!transfer->is_remote || transfer->client->options.remote_gzip);
}

/* Writes the body; compresses it if it is large and the peer can read that. */
static bool write_body(struct transfer *transfer, bool *compressed, struct moment now)
{
    struct text packed = {0};
    *compressed = false;
    if (transfer->message->kind == MESSAGE_BLOCKS)
        blocks_write(transfer->client->options.blocks, &transfer->body);
    else
        peer_request_write_body(transfer->message, transfer->client->registry, transfer->is_legacy,
                                now, &transfer->body);
    if (text_failed(&transfer->body))
        return false;
    size_t from_bytes = transfer->is_remote ? REMOTE_COMPRESS_FROM_BYTES : COMPRESS_FROM_BYTES;
    if (!may_compress(transfer) || transfer->body.size < from_bytes)
        return true;
    if (gzip_compress((struct slice){transfer->body.data, transfer->body.size}, &packed)) {
        text_free(&packed);
        return true;
    }
    text_free(&transfer->body);
    transfer->body = packed;
    *compressed = true;
    return true;
}

static void set_timeouts(const struct transfer *transfer)
{
    const struct message *message = transfer->message;
    uint64_t default_ms = transfer->client->options.timeout_ms;
    uint64_t timeout_ms = message->timeout_ms ? message->timeout_ms : default_ms;
    /* With a remote peer, one lost packet of a handshake takes more than the shorter time. */
    bool is_short = !transfer->is_remote && timeout_ms > CONNECT_TIMEOUT_MS;
    long connect_ms = is_short ? CONNECT_TIMEOUT_MS : (long)timeout_ms;
    curl_easy_setopt(transfer->curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    curl_easy_setopt(transfer->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    if (message->kind != MESSAGE_SNAPSHOT)
        return;
    /* A snapshot has a long timeout, so a peer that stalls is noticed by its rate. */
    curl_easy_setopt(transfer->curl, CURLOPT_LOW_SPEED_LIMIT, (long)SNAPSHOT_BYTES_PER_SEC_MIN);
    curl_easy_setopt(transfer->curl, CURLOPT_LOW_SPEED_TIME, (long)(default_ms / 1000 + 1));
}

static bool write_url(const struct transfer *transfer, const char *peer)
{
    char url[URL_BYTES];
    int size = snprintf(url, sizeof(url), "%s%s", peer, peer_request_path(transfer->message->kind));
    if (transfer->message->kind == MESSAGE_SNAPSHOT && transfer->is_legacy) {
        /* required by legacy nodes */
        char *region = curl_easy_escape(transfer->curl, transfer->client->options.region, 0);
        size = snprintf(url, sizeof(url), "%s%s?regionId=%s", peer,
                        peer_request_path(transfer->message->kind), region ? region : "");
        curl_free(region);
    }
    return size > 0 && (size_t)size < sizeof(url) &&
           curl_easy_setopt(transfer->curl, CURLOPT_URL, url) == CURLE_OK;
}

/* Writes the prefix of the URLs of a peer. With a name, libcurl verifies that, and connects to the
 * host and the port of the url in its place. */
static bool write_base(struct transfer *transfer, const struct peer_address *peer,
                       char base[URL_BYTES])
{
    static const char https[] = "https://";
    const char *address = peer->url + strlen(https);
    const char *port = strrchr(peer->url, ':');
    bool has_name = peer->name[0] && strncmp(peer->url, https, strlen(https)) == 0;
    if (!has_name) {
        snprintf(base, URL_BYTES, "%s", peer->url);
        return true;
    }
    char target[URL_BYTES];
    snprintf(base, URL_BYTES, "%s%s%s", https, peer->name, port);
    snprintf(target, sizeof(target), "::%s", address); /* any host and port */
    transfer->connect_to = curl_slist_append(NULL, target);
    return transfer->connect_to &&
           curl_easy_setopt(transfer->curl, CURLOPT_CONNECT_TO, transfer->connect_to) == CURLE_OK;
}

static bool prepare(struct transfer *transfer, const struct peer_address *peer)
{
    char base[URL_BYTES];
    CURL *curl = transfer->curl;
    bool compressed = false;
    bool is_get = peer_request_is_get(transfer->message->kind);
    struct moment now = clock_now(); /* of the ages and the clock in the request */
    transfer->read_error = ERR_NONE;
    transfer->digest_count = transfer->response_bytes = 0;
    transfer->clock_ms = transfer->transit_ms = 0;
    transfer->sent_ms = now.mono_ms;
    if (peer_reader_create(on_record, on_number, transfer, &transfer->reader) ||
        !write_base(transfer, peer, base) || !write_url(transfer, base))
        return false;
    if (!is_get && !write_body(transfer, &compressed, now))
        return false;
    if (!write_headers(transfer, compressed, now))
        return false;
    set_timeouts(transfer);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->detail);
    transfer->detail[0] = '\0';
    if (!peer_client_connection_set(curl, &transfer->client->options, &transfer->credentials))
        return false;
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    if (transfer->is_legacy || may_compress(transfer))
        curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip");
    if (!is_get) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body.size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, transfer->body.data);
    }
    return true;
}

static void make_idle(struct transfer *transfer)
{
    clear_transfer(transfer);
    LIST_INSERT_HEAD(&transfer->client->idle, transfer, link);
}

void peer_client_send(struct peer_client *client, const struct peer_address *peer,
                      struct message *message)
{
    struct transfer *transfer = take_transfer(client);
    if (transfer) {
        transfer->message = message;
        transfer->is_legacy = peer->is_legacy;
        transfer->is_remote = peer->is_remote;
        if (prepare(transfer, peer) &&
            curl_multi_add_handle(client->multi, transfer->curl) == CURLM_OK) {
            LIST_INSERT_HEAD(&client->in_flight, transfer, link);
            return;
        }
        transfer->message = NULL;
        make_idle(transfer);
    }
    struct peer_response response = {
        .message = message,
        .result = SEND_RETRYABLE,
        .error_text = error_info(ERR_NO_MEMORY)->message,
        .node_id = "",
        .region = "",
        .zone = "",
        .client_url = "",
    };
    client->handler.on_response(client->handler.context, &response);
}

void peer_client_cancel(struct peer_client *client, uint32_t peer)
{
    struct transfer *transfer = LIST_FIRST(&client->in_flight);
    while (transfer) {
        struct transfer *next = LIST_NEXT(transfer, link);
        if (transfer->message->peer == peer) {
            curl_multi_remove_handle(client->multi, transfer->curl);
            LIST_REMOVE(transfer, link);
            make_idle(transfer);
        }
        transfer = next;
    }
}

bool peer_client_run(struct peer_client *client)
{
    int running;
    int left;
    bool any = false;
    CURLMsg *ended;
    curl_multi_perform(client->multi, &running);
    while ((ended = curl_multi_info_read(client->multi, &left))) {
        if (ended->msg != CURLMSG_DONE)
            continue;
        struct transfer *transfer;
        CURLcode code = ended->data.result;
        curl_easy_getinfo(ended->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        curl_multi_remove_handle(client->multi, transfer->curl);
        LIST_REMOVE(transfer, link);
        end_transfer(transfer, code);
        make_idle(transfer);
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

/* --- create and free -------------------------------------------------------------------------- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum error peer_client_create(const struct peer_client_options *options, struct registry *registry,
                              const struct peer_client_handler *handler, struct peer_client **out)
{
    pthread_once(&curl_once, start_curl);
    struct peer_client *client = calloc(1, sizeof(*client));
    if (!client)
        return ERR_NO_MEMORY;
    client->options = *options;
    client->registry = registry;
    client->handler = *handler;
    client->multi = curl_multi_init();
    if (!client->multi) {
        free(client);
        return ERR_NO_MEMORY;
    }
    curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)PEER_CONNECTIONS_MAX);
    snprintf(client->common_headers[0], HEADER_BYTES, "X-Artemis-Replication: true");
    snprintf(client->common_headers[1], HEADER_BYTES, "X-Artemis-Cluster: %s", options->cluster_id);
    snprintf(client->common_headers[2], HEADER_BYTES, "X-Artemis-Node: %s", options->node_id);
    snprintf(client->common_headers[3], HEADER_BYTES, "Accept: application/json");
    if (options->token && options->token[0])
        snprintf(client->token_header, HEADER_BYTES, "Authorization: Bearer %s", options->token);
    *out = client;
    return ERR_NONE;
}

void peer_client_free(struct peer_client *client)
{
    struct transfer *transfer;
    if (!client)
        return;
    while ((transfer = LIST_FIRST(&client->in_flight))) {
        LIST_REMOVE(transfer, link);
        curl_multi_remove_handle(client->multi, transfer->curl);
        free_transfer(transfer);
    }
    while ((transfer = LIST_FIRST(&client->idle))) {
        LIST_REMOVE(transfer, link);
        free_transfer(transfer);
    }
    curl_multi_cleanup(client->multi);
    free(client);
}
