/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines of the log about connections that limits have refused or closed.
 */
#include "artemis-server/log.h"
#include "artemis-web/connections/connections_internal.h"

static uint64_t refused_by_limits(const struct connection_counters *counters)
{
    return counters->refused + counters->refused_by_address + counters->handshakes_refused +
           counters->displaced + counters->closed_slow;
}

void connections_report(struct connections *table, uint64_t now_ms, bool at_end)
{
    struct connection_addresses *addresses = &table->_shared.addresses;
    char heaviest[CLIENT_NAME_BYTES] = "";
    if (!at_end && table->has_reported && now_ms < table->reported_ms + CONNECTIONS_REPORT_MS)
        return;
    pthread_mutex_lock(&table->_shared.lock);
    struct connection_counters now = table->_shared.counters;
    uint64_t most = addresses->heaviest_refused;
    if (most > 0)
        client_address_write(&addresses->heaviest, heaviest);
    addresses->heaviest_refused = 0;
    addresses->reports++;
    pthread_mutex_unlock(&table->_shared.lock);
    const struct connection_counters before = table->reported;
    if (refused_by_limits(&now) == refused_by_limits(&before))
        return;
    table->reported = now;
    table->reported_ms = now_ms;
    table->has_reported = true;
    log_event(LOG_LEVEL_WARN, "limits refused or closed connections",
              LOG_NUMBER("refused", now.refused - before.refused),
              LOG_NUMBER("displaced", now.displaced - before.displaced),
              LOG_NUMBER("refused_by_address", now.refused_by_address - before.refused_by_address),
              LOG_NUMBER("handshakes_refused", now.handshakes_refused - before.handshakes_refused),
              LOG_NUMBER("closed_slow", now.closed_slow - before.closed_slow),
              LOG_TEXT("heaviest_address", heaviest), LOG_NUMBER("heaviest_refused", most));
}
