/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/kubernetes/kubernetes_lease.h"

#include <stdio.h>
#include <string.h>

#include "artemis-core/base/sha256.h"
#include "artemis-server/cluster/providers/kubernetes/kubernetes_watch.h"

enum {
    RENEWALS = 3,        /* in a duration */
    CONFLICTS_MAX = 3,   /* in a row, before they count as a failure */
    NODE_ID_BYTES = 128, /* of the name: a service has 63 */
    DIGEST_DIGITS = 8,
    STATUS_NOT_FOUND = 404,
    STATUS_CONFLICT = 409,
};

/* --- the name --------------------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

void kubernetes_lease_name(const char *service, const char *node_id,
                           char out[KUBERNETES_NAME_BYTES])
{
    char id[NODE_ID_BYTES + 1];
    char hex[SHA256_HEX_BYTES];
    size_t size = strlen(node_id);
    bool has_changed = size > NODE_ID_BYTES || node_id[0] == '-' || node_id[size - 1] == '-';
    size = size > NODE_ID_BYTES ? NODE_ID_BYTES : size;
    for (size_t i = 0; i < size; i++) {
        id[i] = is_letter(node_id[i]) ? node_id[i] : '-';
        has_changed |= id[i] != node_id[i];
    }
    id[size] = '\0';
    struct sha256 digest = sha256_of(slice_of(node_id));
    sha256_write_hex(&digest, hex);
    if (has_changed)
        snprintf(out, KUBERNETES_NAME_BYTES, "%.63s.n%s-%.*s", service, id, DIGEST_DIGITS, hex);
    else
        snprintf(out, KUBERNETES_NAME_BYTES, "%.63s.%s", service, id);
}

/* --- steps ------------------------------------------------------------------------------------ */

void kubernetes_lease_restart(struct kubernetes_lease *lease, uint64_t now_ms)
{
    lease->is_running = false;
    lease->step = KUBERNETES_READ;
    lease->due_ms = now_ms;
}

bool kubernetes_lease_is_due(const struct kubernetes_lease *lease, uint64_t now_ms)
{
    return !lease->is_running && lease->due_ms <= now_ms;
}

void kubernetes_lease_started(struct kubernetes_lease *lease)
{
    lease->is_running = true;
    lease->may_exist |= lease->step != KUBERNETES_READ;
}

void kubernetes_lease_on_response(struct kubernetes_lease *lease, const char *version,
                                  uint64_t now_ms)
{
    bool is_renewed = lease->step != KUBERNETES_READ;
    snprintf(lease->version, sizeof(lease->version), "%s", version);
    lease->is_running = false;
    lease->step = KUBERNETES_REPLACE;
    lease->due_ms = now_ms + (is_renewed ? lease->ttl_ms / RENEWALS : 0);
    if (is_renewed)
        lease->failures = 0;
}

bool kubernetes_lease_on_failure(struct kubernetes_lease *lease, int64_t status, uint64_t wait_ms,
                                 uint64_t random, uint64_t now_ms)
{
    bool is_conflict = status == STATUS_NOT_FOUND || status == STATUS_CONFLICT;
    bool is_missing = status == STATUS_NOT_FOUND && lease->step != KUBERNETES_CREATE;
    lease->is_running = false;
    lease->failures++;
    if (is_conflict && lease->failures <= CONFLICTS_MAX) {
        lease->step = is_missing ? KUBERNETES_CREATE : KUBERNETES_READ;
        lease->due_ms = now_ms;
        return false;
    }
    if (is_conflict)
        lease->step = KUBERNETES_READ;
    uint64_t retry_ms = kubernetes_retry_ms(lease->failures, wait_ms, random);
    uint64_t renewal_ms = lease->ttl_ms / RENEWALS;
    lease->due_ms = now_ms + (wait_ms == 0 && retry_ms > renewal_ms ? renewal_ms : retry_ms);
    return true;
}
