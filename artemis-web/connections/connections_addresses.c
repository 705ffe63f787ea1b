/* SPDX-License-Identifier: Apache-2.0
 *
 * The connections of each address: their limit, and that of their TLS handshakes.
 */
#include <assert.h>
#include <stdlib.h>

#include "artemis-web/connections/connections_internal.h"

/* Connections of an address that are examined for one to end. */
enum { EXAMINED_MAX = 64 };

/* An address with connections. */
struct connection_address {
    LIST_ENTRY(connection_address) link; /* in its bucket */
    struct client_address address;
    uint32_t count;      /* connections that are admitted and not being closed */
    uint32_t handshakes; /* of these, those with TLS and without a request yet */
    uint32_t reports;    /* of the table, when a connection was refused last */
    uint64_t refused;    /* since that report */
    struct connection_list members;
};

static uint32_t share_of(uint32_t limit)
{
    uint32_t share = (uint32_t)((uint64_t)limit * ADDRESS_SHARE_PERCENT / 100);
    return share ? share : 1;
}

enum error connections_limit_addresses(struct connections *table, uint32_t connections_max,
                                       uint32_t handshakes_max, uint64_t hash_seed)
{
    struct connection_addresses *addresses = &table->_shared.addresses;
    uint32_t buckets = 64;
    while (buckets < table->limit)
        buckets *= 2;
    addresses->buckets = calloc(buckets, sizeof(*addresses->buckets));
    if (!addresses->buckets)
        return ERR_NO_MEMORY;
    addresses->bucket_count = buckets;
    addresses->hash_seed = hash_seed;
    addresses->connections_max = connections_max ? connections_max : share_of(table->limit);
    addresses->exempts_loopback = connections_max == 0;
    addresses->handshakes_max = handshakes_max ? handshakes_max : UINT32_MAX;
    return ERR_NONE;
}

void addresses_free(struct connections *table)
{
    struct connection_addresses *addresses = &table->_shared.addresses;
    for (uint32_t i = 0; i < addresses->bucket_count; i++)
        assert(LIST_EMPTY(&addresses->buckets[i]));
    free(addresses->buckets);
}

/* --- the table -------------------------------------------------------------------------------- */

static struct connection_address_list *bucket_of(struct connection_addresses *addresses,
                                                 const struct client_address *address)
{
    uint64_t hash = client_address_hash(address, addresses->hash_seed);
    return &addresses->buckets[hash & (addresses->bucket_count - 1)];
}

static struct connection_address *find(struct connections *table,
                                       const struct client_address *address)
{
    struct connection_address *found;
    LIST_FOREACH (found, bucket_of(&table->_shared.addresses, address), link)
        if (client_address_equal(&found->address, address))
            return found;
    return NULL;
}

static struct connection_address *find_or_add(struct connections *table,
                                              const struct client_address *address)
{
    struct connection_address *found = find(table, address);
    if (found)
        return found;
    found = calloc(1, sizeof(*found));
    if (!found)
        return NULL;
    found->address = *address;
    TAILQ_INIT(&found->members);
    LIST_INSERT_HEAD(bucket_of(&table->_shared.addresses, address), found, link);
    return found;
}

static void subtract(struct connection_address *address, bool in_handshake)
{
    address->handshakes -= in_handshake;
    if (--address->count > 0)
        return;
    LIST_REMOVE(address, link);
    free(address);
}

/* --- limits ----------------------------------------------------------------------------------- */

/* Whether a connection gives way to a new one of its address. The caller holds both locks. */
static bool may_give_way(const struct connection *connection, bool in_handshake, uint64_t now_ms)
{
    bool is_idle = connection->state == CONNECTION_NEW || connection->state == CONNECTION_IDLE;
    return (in_handshake ? connection->in_handshake : is_idle) &&
           connections_age_ms(connection, now_ms) >= IDLE_BEFORE_DISPLACED_MS;
}

/* Returns the connection that has been idle for longest among the next ones of the address; NULL:
 * none. The ones that were examined go to the end of the list, so that the next call examines
 * others. Connections cannot end meanwhile, because the caller holds the lock of the table. */
static struct connection *oldest_of(struct connection_address *address, bool in_handshake,
                                    uint64_t now_ms)
{
    struct connection *oldest = NULL;
    uint64_t since_ms = UINT64_MAX;
    uint32_t others = address->count - 1; /* without the new one */
    uint32_t left = others < EXAMINED_MAX ? others : EXAMINED_MAX;
    for (; left > 0 && !TAILQ_EMPTY(&address->members); left--) {
        struct connection *connection = TAILQ_FIRST(&address->members);
        TAILQ_REMOVE(&address->members, connection, address_link);
        TAILQ_INSERT_TAIL(&address->members, connection, address_link);
        pthread_mutex_lock(&connection->group->lock);
        if (may_give_way(connection, in_handshake, now_ms) && connection->since_ms < since_ms) {
            oldest = connection;
            since_ms = connection->since_ms;
        }
        pthread_mutex_unlock(&connection->group->lock);
    }
    return oldest;
}

/* Ends one of the connections of the address. Returns false when none gives way. */
static bool displace(struct connections *table, struct connection_address *address,
                     bool in_handshake, uint64_t now_ms)
{
    if (table->_shared.closing >= CLOSING_MAX)
        return false;
    struct connection *oldest = oldest_of(address, in_handshake, now_ms);
    if (!oldest)
        return false;
    pthread_mutex_lock(&oldest->group->lock);
    bool gives_way = may_give_way(oldest, in_handshake, now_ms); /* it may have a request now */
    if (gives_way)
        connections_end(table, oldest, now_ms);
    pthread_mutex_unlock(&oldest->group->lock);
    table->_shared.counters.displaced += gives_way;
    return gives_way;
}

static void count_refused(struct connections *table, struct connection_address *address,
                          bool by_handshakes)
{
    struct connection_addresses *addresses = &table->_shared.addresses;
    if (by_handshakes)
        table->_shared.counters.handshakes_refused++;
    else
        table->_shared.counters.refused_by_address++;
    if (address->reports != addresses->reports) {
        address->reports = addresses->reports;
        address->refused = 0;
    }
    if (++address->refused > addresses->heaviest_refused) {
        addresses->heaviest_refused = address->refused;
        addresses->heaviest = address->address;
    }
}

enum error addresses_enter(struct connections *table, const struct connection_origin *from,
                           uint64_t now_ms)
{
    const struct connection_addresses *addresses = &table->_shared.addresses;
    if (!addresses->buckets)
        return ERR_NONE;
    struct connection_address *address = find_or_add(table, &from->address);
    if (!address)
        return ERR_NO_MEMORY;
    /* Counted before others are ended, so that the address stays. */
    address->count++;
    address->handshakes += from->has_tls;
    bool many_handshakes = from->has_tls && address->handshakes > addresses->handshakes_max;
    if (many_handshakes)
        many_handshakes = !displace(table, address, true, now_ms);
    bool is_exempt = addresses->exempts_loopback && client_address_is_loopback(&from->address);
    bool many = !many_handshakes && !is_exempt && address->count > addresses->connections_max &&
                !displace(table, address, false, now_ms);
    if (!many && !many_handshakes)
        return ERR_NONE;
    count_refused(table, address, many_handshakes);
    subtract(address, from->has_tls);
    return ERR_TOO_MANY_CONNECTIONS;
}

void addresses_cancel(struct connections *table, const struct connection_origin *from)
{
    if (table->_shared.addresses.buckets)
        subtract(find(table, &from->address), from->has_tls);
}

/* --- connections ------------------------------------------------------------------------------ */

void addresses_add(struct connections *table, struct connection *connection)
{
    if (!table->_shared.addresses.buckets)
        return;
    connection->address = find(table, &connection->from.address);
    connection->in_handshake = connection->from.has_tls;
    TAILQ_INSERT_TAIL(&connection->address->members, connection, address_link);
}

void addresses_leave(struct connection *connection)
{
    struct connection_address *address = connection->address;
    if (!address)
        return;
    TAILQ_REMOVE(&address->members, connection, address_link);
    connection->address = NULL;
    subtract(address, connection->in_handshake);
}

void addresses_end_handshake(struct connection *connection)
{
    if (connection->address && connection->in_handshake)
        connection->address->handshakes--;
    connection->in_handshake = false;
}
