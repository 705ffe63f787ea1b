/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/peer_client_response.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/text.h"

const char *peer_client_header(CURL *curl, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

static enum send_result result_of_status(CURL *curl, long status)
{
    bool has_challenge = peer_client_header(curl, "WWW-Authenticate");
    if (status == 403 && peer_client_header(curl, "X-Artemis-Blocked"))
        return SEND_BLOCKED;
    if (status == 401 || (status == 403 && has_challenge)) /* else it is about the cluster id */
        return SEND_UNAUTHORIZED;
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

enum send_result peer_client_result(CURL *curl, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK)
        return result_of_status(curl, status);
    long system_error = 0;
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &system_error);
    if (code == CURLE_COULDNT_CONNECT && system_error == ECONNREFUSED)
        return SEND_UNREACHABLE;
    return SEND_RETRYABLE;
}

static bool equal(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

bool peer_client_is_printable(const char *text)
{
    if (!text[0] || strlen(text) >= PEER_NAME_BYTES || !text_is_utf8(slice_of(text)))
        return false;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return true;
}

/* A name from a response header; "" unless it is printable. */
static const char *read_name(CURL *curl, const char *header)
{
    const char *name = peer_client_header(curl, header);
    return name && peer_client_is_printable(name) ? name : "";
}

uint64_t peer_client_number(CURL *curl, const char *name)
{
    const char *value = peer_client_header(curl, name);
    return value ? strtoull(value, NULL, 10) : 0;
}

/* The wall clock of the peer; 0 if it sends none. */
static uint64_t read_date_ms(CURL *curl)
{
    const char *value = peer_client_header(curl, "Date");
    time_t date = value ? curl_getdate(value, NULL) : -1;
    return date > 0 ? (uint64_t)date * 1000 : 0;
}

/* 0: it sends none. */
static uint64_t read_epoch(CURL *curl)
{
    const char *value = peer_client_header(curl, "X-Artemis-Run");
    return value ? strtoull(value, NULL, 16) : 0;
}

void peer_client_read_health(CURL *curl, const struct peer_client_options *own, uint64_t clock_ms,
                             struct peer_response *response)
{
    const char *cluster = peer_client_header(curl, "X-Artemis-Cluster");
    const char *state = peer_client_header(curl, "X-Artemis-State");
    const char *blocks = peer_client_header(curl, "X-Artemis-Blocks");
    bool has_own_epoch = equal(peer_client_header(curl, "X-Artemis-Run"), own->epoch);
    response->has_health = true;
    response->wall_ms = read_date_ms(curl);
    response->node_id = read_name(curl, "X-Artemis-Node");
    response->region = read_name(curl, "X-Artemis-Region");
    response->zone = read_name(curl, "X-Artemis-Zone");
    response->client_url = read_name(curl, "X-Artemis-Url");
    response->health = (struct health_response){
        .is_self = has_own_epoch,
        .has_own_node_id = !has_own_epoch && equal(response->node_id, own->node_id),
        .is_wrong_cluster = cluster && strcmp(cluster, own->cluster_id) != 0,
        .is_legacy = !cluster,
        .is_remote = response->region[0] && !equal(own->region, response->region),
        .is_ready = !state || strcmp(state, "ready") == 0,
        .is_comparing = equal(state, "comparing"),
        .started_empty = equal(peer_client_header(curl, "X-Artemis-Loaded"), "false"),
        .is_leaving = equal(state, "draining"),
        .is_blocked = equal(state, "blocked") ||
                      (own->blocks && blocks_has_node(own->blocks, response->node_id)),
        .is_blocking = peer_client_header(curl, "X-Artemis-Blocked"),
        .has_blocks = blocks && own->blocks,
        .blocks_hash = blocks ? strtoull(blocks, NULL, 10) : 0,
        .epoch = read_epoch(curl),
        .clock_ms = clock_ms,
        .members_clock_ms = peer_client_number(curl, "X-Artemis-Members-Clock"),
        .highest_hlc = peer_client_number(curl, "X-Artemis-Stamp"),
    };
}
