/* SPDX-License-Identifier: Apache-2.0
 *
 * The peer client and peers that misbehave: a name lookup that hangs, and responses of any content.
 * The lookups of this program hang until the test releases them.
 */
#include "artemis-server/replication/peer_client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-core/model/hlc.h"
#include "artemis-server/clock.h"
#include "tests/unit/artemis-server/registry/peer_fixture.h"

enum { TIMEOUT_MS = 1000, GUARD_MS = 5000 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned hanging;
    bool released;
} lookups = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Replaces the function of the C library, for libcurl too. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)name;
    (void)service;
    (void)hints;
    (void)out;
    pthread_mutex_lock(&lookups.lock);
    lookups.hanging++;
    while (!lookups.released)
        pthread_cond_wait(&lookups.changed, &lookups.lock);
    lookups.hanging--;
    pthread_cond_broadcast(&lookups.changed);
    pthread_mutex_unlock(&lookups.lock);
    return EAI_AGAIN;
}

static unsigned hanging_lookups(void)
{
    pthread_mutex_lock(&lookups.lock);
    unsigned count = lookups.hanging;
    pthread_mutex_unlock(&lookups.lock);
    return count;
}

/* A failing test must not hang either. */
static void *release_at_the_deadline(void *unused)
{
    struct timespec deadline;
    (void)unused;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += GUARD_MS / 1000;
    pthread_mutex_lock(&lookups.lock);
    while (!lookups.released)
        if (pthread_cond_timedwait(&lookups.changed, &lookups.lock, &deadline))
            lookups.released = true;
    pthread_cond_broadcast(&lookups.changed);
    pthread_mutex_unlock(&lookups.lock);
    return NULL;
}

static void release_lookups(void)
{
    pthread_mutex_lock(&lookups.lock);
    lookups.released = true;
    pthread_cond_broadcast(&lookups.changed);
    while (lookups.hanging)
        pthread_cond_wait(&lookups.changed, &lookups.lock);
    pthread_mutex_unlock(&lookups.lock);
}

/* --- the node --------------------------------------------------------------------------------- */

static struct {
    struct registry *registry;
    struct peer_client *client;
    unsigned responses;
    enum send_result result;
    bool is_clock_ahead;
    char error[PEER_ERROR_BYTES];
    char names[128]; /* node, region and zone */
    unsigned records;
    uint64_t age_ms;      /* of the last record */
    bool is_remote;       /* the peer, for the next messages, */
    bool has_remote_peer; /* and for the last health response */
    bool has_empty_peer;
    uint32_t buckets; /* in the next messages */
    uint32_t peer;    /* its number, for the next messages */
    uint64_t sent_bytes, received_bytes;
    uint64_t digests[DIGEST_BUCKETS]; /* of the last response that has them */
} node;

static void store_record(void *context, const struct message *message,
                         const struct wire_record *record)
{
    (void)context;
    (void)message;
    node.records++;
    node.age_ms = record->age_ms;
}

static void store_response(void *context, const struct peer_response *response)
{
    (void)context;
    node.responses++;
    node.result = response->result;
    node.is_clock_ahead = response->is_clock_ahead;
    node.has_remote_peer = response->has_health && response->health.is_remote;
    node.has_empty_peer = response->has_health && response->health.started_empty;
    if (response->digests)
        memcpy(node.digests, response->digests, sizeof(node.digests));
    node.sent_bytes = response->sent_bytes;
    node.received_bytes = response->received_bytes;
    snprintf(node.error, sizeof(node.error), "%s", response->error_text);
    if (response->has_health)
        snprintf(node.names, sizeof(node.names), "[%s] [%s] [%s]", response->node_id,
                 response->region, response->zone);
    message_free(response->message);
}

static void create_node(bool remote_gzip)
{
    const struct peer_client_options options = {.node_id = "self",
                                                .cluster_id = "c",
                                                .epoch = "r",
                                                .region = "x",
                                                .remote_gzip = remote_gzip,
                                                .timeout_ms = TIMEOUT_MS};
    memset(&node, 0, sizeof(node));
    node.registry = make_node("self");
    const struct peer_client_handler handler = {.on_record = store_record,
                                                .on_response = store_response};
    assert_int_equal(peer_client_create(&options, node.registry, &handler, &node.client), ERR_NONE);
}

static int open_node(void **state)
{
    (void)state;
    create_node(true);
    return 0;
}

static int close_node(void **state)
{
    (void)state;
    peer_client_free(node.client);
    registry_free(node.registry);
    return 0;
}

static void send_to(const char *url, enum message_kind kind)
{
    struct message *message = calloc(1, sizeof(*message));
    assert_non_null(message);
    message->kind = kind;
    message->peer = node.peer;
    for (uint32_t bucket = 0; bucket < node.buckets; bucket++)
        bucket_set_add(&message->buckets, bucket);
    const struct peer_address peer = {.url = url, .name = "", .is_remote = node.is_remote};
    peer_client_send(node.client, &peer, message);
}

static void wait_for_response(void)
{
    while (!node.responses) { /* every message times out */
        peer_client_run(node.client);
        peer_client_wait(node.client, 20);
    }
}

/* --- names that hang -------------------------------------------------------------------------- */

static void hanging_name_lookup_blocks_neither_the_thread_nor_the_shutdown(void **state)
{
    (void)state;
    pthread_t last;
    assert_int_equal(pthread_create(&last, NULL, release_at_the_deadline, NULL), 0);
    uint64_t start_ms = clock_now().mono_ms;
    send_to("http://first.invalid:1", MESSAGE_HEALTH);
    wait_for_response();
    assert_int_equal(node.result, SEND_RETRYABLE);
    assert_int_equal(hanging_lookups(), 1);

    send_to("http://second.invalid:1", MESSAGE_HEALTH);
    while (hanging_lookups() < 2) {
        peer_client_run(node.client);
        peer_client_wait(node.client, 5);
    }
    peer_client_free(node.client); /* while a lookup hangs */
    node.client = NULL;
    assert_int_equal(hanging_lookups(), 2);
    assert_true(clock_now().mono_ms - start_ms < GUARD_MS);
    release_lookups();
    pthread_join(last, NULL);
}

/* --- responses -------------------------------------------------------------------------------- */

/* A peer that accepts one request and responds `head`, `filler` blanks and `tail`. */
struct fake_peer {
    int listener;
    pthread_t thread;
    char url[64];
    const char *head; /* NULL: no response; it waits for the end of the connection */
    size_t filler;
    const char *tail;
};

static void send_text(int peer, const char *data, size_t size)
{
    while (size) {
        ssize_t sent = send(peer, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the client closed the connection */
        data += sent;
        size -= (size_t)sent;
    }
}

static struct {
    char request[4096];                 /* the last one */
    int end_error;                      /* errno at the end of the connection; 0: closed */
    unsigned delay_ms;                  /* before it responds */
    atomic_bool has_request, has_ended; /* has_ended: of a connection without a response */
} fake;

static void *respond(void *context)
{
    const struct fake_peer *fake_peer = context;
    char blanks[4096];
    int peer = accept(fake_peer->listener, NULL, NULL);
    ssize_t received = recv(peer, fake.request, sizeof(fake.request) - 1, 0);
    assert_true(received > 0);
    fake.request[received] = '\0';
    atomic_store(&fake.has_request, true);
    if (!fake_peer->head) {
        fake.end_error = recv(peer, blanks, sizeof(blanks), 0) < 0 ? errno : 0;
        close(peer);
        atomic_store(&fake.has_ended, true);
        return NULL;
    }
    memset(blanks, ' ', sizeof(blanks));
    poll(NULL, 0, (int)fake.delay_ms);
    send_text(peer, fake_peer->head, strlen(fake_peer->head));
    for (size_t left = fake_peer->filler; left;) {
        size_t size = left < sizeof(blanks) ? left : sizeof(blanks);
        send_text(peer, blanks, size);
        left -= size;
    }
    send_text(peer, fake_peer->tail, strlen(fake_peer->tail));
    close(peer);
    return NULL;
}

static void start_peer(struct fake_peer *fake_peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    fake_peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fake_peer->listener >= 0);
    assert_int_equal(bind(fake_peer->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fake_peer->listener, 1), 0);
    assert_int_equal(getsockname(fake_peer->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(fake_peer->url, sizeof(fake_peer->url), "http://127.0.0.1:%d",
             ntohs(address.sin_port));
    assert_int_equal(pthread_create(&fake_peer->thread, NULL, respond, fake_peer), 0);
}

static void join_peer(struct fake_peer *fake_peer)
{
    pthread_join(fake_peer->thread, NULL);
    close(fake_peer->listener);
}

/* Sends a message to that peer and waits for the result. */
static void exchange(enum message_kind kind, const char *head, size_t filler, const char *tail)
{
    struct fake_peer fake_peer = {.head = head, .filler = filler, .tail = tail};
    start_peer(&fake_peer);
    send_to(fake_peer.url, kind);
    wait_for_response();
    join_peer(&fake_peer);
}

#define HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n"

static void names_of_a_peer_are_accepted_if_they_are_text(void **state)
{
    (void)state;
    exchange(MESSAGE_HEALTH,
             HEAD
             "X-Artemis-Node: Knoten \xc3\xa4\r\nX-Artemis-Region: r\"1\r\nX-Artemis-Zone: z\r\n"
             "Content-Length: 2\r\n\r\n",
             0, "OK");
    assert_int_equal(node.result, SEND_DELIVERED);
    assert_string_equal(node.names, "[Knoten \xc3\xa4] [r\"1] [z]");
}

static void names_of_a_peer_that_are_not_text_are_ignored(void **state)
{
    (void)state;
    exchange(MESSAGE_HEALTH,
             HEAD
             "X-Artemis-Node: f\xe4\xff\r\nX-Artemis-Region: r\x1b[2J\r\nX-Artemis-Zone: z\x7f\r\n"
             "Content-Length: 2\r\n\r\n",
             0, "OK");
    assert_int_equal(node.result, SEND_DELIVERED);
    assert_string_equal(node.names, "[] [] []");
}

/* An earlier version does not say it, and may have loaded records. */
static void peer_has_loaded_no_records_if_it_says_so(void **state)
{
    (void)state;
    exchange(MESSAGE_HEALTH, HEAD "X-Artemis-Loaded: false\r\nContent-Length: 2\r\n\r\n", 0, "OK");
    assert_true(node.has_empty_peer);
    node.responses = 0;
    exchange(MESSAGE_HEALTH, HEAD "X-Artemis-Loaded: true\r\nContent-Length: 2\r\n\r\n", 0, "OK");
    assert_false(node.has_empty_peer);
    node.responses = 0;
    exchange(MESSAGE_HEALTH, HEAD "Content-Length: 2\r\n\r\n", 0, "OK");
    assert_false(node.has_empty_peer);
}

/* --- peers of other regions ------------------------------------------------------------------- */

static void peer_of_another_region_is_remote(void **state)
{
    (void)state;
    exchange(MESSAGE_HEALTH, HEAD "X-Artemis-Region: y\r\nContent-Length: 2\r\n\r\n", 0, "OK");
    assert_true(node.has_remote_peer);
    node.responses = 0;
    exchange(MESSAGE_HEALTH, HEAD "X-Artemis-Region: x\r\nContent-Length: 2\r\n\r\n", 0, "OK");
    assert_false(node.has_remote_peer);
    node.responses = 0;
    exchange(MESSAGE_HEALTH, HEAD "Content-Length: 2\r\n\r\n", 0, "OK");
    assert_false(node.has_remote_peer);
}

enum { SMALL = 100, LARGE = 500 }; /* buckets: bodies of 300 and 1,900 bytes */

static void exchange_list(uint32_t buckets, bool is_remote)
{
    node.responses = 0;
    node.buckets = buckets;
    node.is_remote = is_remote;
    exchange(MESSAGE_LIST, HEAD "\r\n{\"instance_keys\":[", 0, "]}");
    assert_int_equal(node.result, SEND_DELIVERED);
}

static bool is_compressed(void)
{
    return strstr(fake.request, "Content-Encoding: gzip") != NULL;
}

static bool accepts_gzip(void)
{
    return strstr(fake.request, "Accept-Encoding: gzip") != NULL;
}

static void smaller_messages_to_a_remote_peer_are_compressed(void **state)
{
    (void)state;
    exchange_list(SMALL, false);
    assert_false(is_compressed());
    assert_true(node.sent_bytes > SMALL);
    assert_int_equal(node.received_bytes, strlen("{\"instance_keys\":[]}"));
    exchange_list(LARGE, false);
    assert_true(is_compressed());
    assert_true(accepts_gzip());
    exchange_list(SMALL, true);
    assert_true(is_compressed());
    assert_true(accepts_gzip());
}

static void nothing_is_compressed_for_a_remote_peer_without_gzip(void **state)
{
    close_node(state);
    create_node(false);
    exchange_list(LARGE, true);
    assert_false(is_compressed());
    assert_false(accepts_gzip());
    exchange_list(LARGE, false);
    assert_true(is_compressed());
}

/* --- digests ---------------------------------------------------------------------------------- */

#define NOT_MODIFIED "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"

static void peer_with_the_same_digests_sends_none(void **state)
{
    (void)state;
    uint64_t digests[DIGEST_BUCKETS];
    char tag[DIGESTS_TAG_BYTES];
    put_as(node.registry, (struct brief){.service = "s", .id = "a"}, clock_now());
    registry_digests(node.registry, digests);
    registry_digests_tag(digests, tag);
    exchange(MESSAGE_DIGEST, NOT_MODIFIED, 0, "");
    assert_int_equal(node.result, SEND_DELIVERED);
    assert_memory_equal(node.digests, digests, sizeof(digests));
    assert_non_null(strstr(fake.request, "If-None-Match: "));
    assert_non_null(strstr(fake.request, tag));
}

static void other_messages_need_a_response(void **state)
{
    (void)state;
    exchange(MESSAGE_RENEW, NOT_MODIFIED, 0, "");
    assert_int_equal(node.result, SEND_REJECTED);
    assert_null(strstr(fake.request, "If-None-Match"));
    node.responses = 0;
    exchange(MESSAGE_HEALTH, NOT_MODIFIED, 0, "");
    assert_int_equal(node.result, SEND_REJECTED);
}

static void response_of_some_length_is_read(void **state)
{
    (void)state;
    exchange(MESSAGE_RENEW, HEAD "\r\n{\"failed_instance_keys\":[", 100 * 1024, "]}");
    assert_string_equal(node.error, "");
    assert_int_equal(node.result, SEND_DELIVERED);
}

static void response_longer_than_its_message_allows_is_aborted(void **state)
{
    (void)state;
    exchange(MESSAGE_RENEW, HEAD "\r\n{\"failed_instance_keys\":[", 4 * 1024 * 1024, "]}");
    assert_int_equal(node.result, SEND_RETRYABLE);
    assert_non_null(strstr(node.error, "invalid response: the body is too large"));
}

static void list_response_has_no_length_limit(void **state)
{
    (void)state;
    exchange(MESSAGE_LIST, HEAD "\r\n{\"instance_keys\":[", 4 * 1024 * 1024, "]}");
    assert_int_equal(node.result, SEND_DELIVERED);
}

/* --- transit ---------------------------------------------------------------------------------- */

static uint64_t own_clock_ms(void)
{
    return registry_clock_ms(node.registry, clock_now());
}

static void request_carries_the_clock(void **state)
{
    (void)state;
    uint64_t before_ms = own_clock_ms();
    exchange(MESSAGE_RENEW, HEAD "\r\n{\"failed_instance_keys\":[", 0, "]}");
    const char *header = strstr(fake.request, "X-Artemis-Clock: ");
    assert_non_null(header);
    uint64_t clock_ms = strtoull(header + strlen("X-Artemis-Clock: "), NULL, 10);
    assert_true(clock_ms >= before_ms && clock_ms <= own_clock_ms());
}

/* Reads a key of age 5 ms from a response that carries this clock. */
static void exchange_key(uint64_t clock_ms)
{
    char head[256];
    snprintf(head, sizeof(head), HEAD "X-Artemis-Clock: %llu\r\n\r\n{\"instance_keys\":[",
             (unsigned long long)clock_ms);
    exchange(MESSAGE_LIST, head, 0,
             "{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\","
             "\"instance_id\":\"a\",\"version\":7,\"origin\":\"b\",\"age_ms\":5}]}");
    assert_int_equal(node.result, SEND_DELIVERED);
    assert_int_equal(node.records, 1);
}

static void transit_of_a_response_is_added_to_its_ages(void **state)
{
    (void)state;
    uint64_t start_ms = own_clock_ms();
    fake.delay_ms = 200;
    exchange_key(start_ms);
    fake.delay_ms = 0;
    assert_true(node.age_ms >= 205 && node.age_ms <= 5 + (own_clock_ms() - start_ms));
}

/* The clock of a peer that is an hour behind does not make its records an hour older. */
static void transit_of_a_response_is_at_most_the_age_of_its_request(void **state)
{
    (void)state;
    uint64_t start_ms = own_clock_ms();
    exchange_key(start_ms - 3600 * 1000);
    assert_true(node.age_ms >= 5 && node.age_ms <= 5 + (own_clock_ms() - start_ms));
}

static void exchange_late(uint64_t clock_ms)
{
    char head[256];
    snprintf(head, sizeof(head),
             "HTTP/1.1 408 Late\r\nX-Artemis-Clock: %llu\r\nContent-Length: 0\r\n\r\n",
             (unsigned long long)clock_ms);
    exchange(MESSAGE_RENEW, head, 0, "");
    assert_int_equal(node.result, SEND_RETRYABLE);
}

static void clock_of_a_peer_that_is_ahead_is_followed(void **state)
{
    (void)state;
    uint64_t ahead_ms = own_clock_ms() + 100000;
    exchange_late(ahead_ms);
    assert_true(own_clock_ms() >= ahead_ms);
    assert_false(node.is_clock_ahead);
}

/* The peer refuses all updates until this node has asked the members for their clocks. */
static void clock_of_a_peer_that_is_too_far_ahead_is_reported(void **state)
{
    (void)state;
    uint64_t ahead_ms = clock_now().wall_ms + 2 * CLOCK_AHEAD_MAX_MS;
    exchange_late(ahead_ms);
    assert_true(own_clock_ms() < ahead_ms - CLOCK_AHEAD_MAX_MS);
    assert_true(node.is_clock_ahead);
}

static void abandoned_request_is_reset(void **state)
{
    (void)state;
    exchange(MESSAGE_RENEW, NULL, 0, NULL);
    assert_int_equal(node.result, SEND_RETRYABLE);
    assert_int_equal(fake.end_error, ECONNRESET);
}

static bool has_request(void)
{
    return atomic_load(&fake.has_request);
}

/* The peer never responds. A message to another peer, which responds, goes on. */
static void requests_of_a_peer_that_left_are_cancelled(void **state)
{
    (void)state;
    struct fake_peer silent = {.head = NULL};
    struct fake_peer other = {.head = HEAD "Content-Length: 2\r\n\r\n", .tail = "OK"};
    atomic_store(&fake.has_request, false);
    atomic_store(&fake.has_ended, false);
    start_peer(&silent);
    node.peer = 1;
    send_to(silent.url, MESSAGE_RENEW);
    send_to(silent.url, MESSAGE_HEALTH);
    while (!has_request()) {
        peer_client_run(node.client);
        peer_client_wait(node.client, 5);
    }
    node.peer = 2;
    start_peer(&other);
    send_to(other.url, MESSAGE_HEALTH);
    peer_client_cancel(node.client, 1);
    wait_for_response();
    assert_int_equal(node.result, SEND_DELIVERED);
    while (!atomic_load(&fake.has_ended)) /* a request that goes on times out */
        peer_client_run(node.client);
    assert_int_equal(node.responses, 1);
    join_peer(&silent);
    join_peer(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_node, close_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hanging_name_lookup_blocks_neither_the_thread_nor_the_shutdown),
        TEST(names_of_a_peer_are_accepted_if_they_are_text),
        TEST(names_of_a_peer_that_are_not_text_are_ignored),
        TEST(peer_has_loaded_no_records_if_it_says_so),
        TEST(peer_of_another_region_is_remote),
        TEST(smaller_messages_to_a_remote_peer_are_compressed),
        TEST(nothing_is_compressed_for_a_remote_peer_without_gzip),
        TEST(peer_with_the_same_digests_sends_none),
        TEST(other_messages_need_a_response),
        TEST(response_of_some_length_is_read),
        TEST(response_longer_than_its_message_allows_is_aborted),
        TEST(list_response_has_no_length_limit),
        TEST(request_carries_the_clock),
        TEST(transit_of_a_response_is_added_to_its_ages),
        TEST(transit_of_a_response_is_at_most_the_age_of_its_request),
        TEST(clock_of_a_peer_that_is_ahead_is_followed),
        TEST(clock_of_a_peer_that_is_too_far_ahead_is_reported),
        TEST(abandoned_request_is_reset),
        TEST(requests_of_a_peer_that_left_are_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
