/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/limits/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { IPV4_BYTES = 4, IPV6_NETWORK_BYTES = 8, IPV6_BYTES = 16 };

struct client_address client_address_of(const struct sockaddr *address)
{
    struct client_address out = {0};
    const void *bytes = NULL;
    if (address && address->sa_family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
        out.size = IPV4_BYTES;
    } else if (address && address->sa_family == AF_INET6) {
        const struct in6_addr *ip =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(ip);
        bytes = ip->s6_addr + (is_mapped ? IPV6_BYTES - IPV4_BYTES : 0);
        out.size = is_mapped ? IPV4_BYTES : IPV6_NETWORK_BYTES;
    }
    if (bytes)
        memcpy(out.bytes, bytes, out.size);
    return out;
}

struct slice client_address_bytes(const struct client_address *address)
{
    return (struct slice){(const char *)address->bytes, address->size};
}

uint64_t client_address_hash(const struct client_address *address, uint64_t seed)
{
    return XXH3_64bits_withSeed(address->bytes, address->size, seed);
}

bool client_address_equal(const struct client_address *a, const struct client_address *b)
{
    return slice_equal(client_address_bytes(a), client_address_bytes(b));
}

bool client_address_is_loopback(const struct client_address *address)
{
    static const struct client_address ipv6 = {.size = IPV6_NETWORK_BYTES};
    return address->size == IPV4_BYTES ? address->bytes[0] == IN_LOOPBACKNET
                                       : client_address_equal(address, &ipv6);
}

void client_address_write(const struct client_address *address, char out[CLIENT_NAME_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "unknown";
    uint8_t bytes[IPV6_BYTES] = {0};
    memcpy(bytes, address->bytes, address->size);
    if (address->size > 0)
        inet_ntop(address->size == IPV4_BYTES ? AF_INET : AF_INET6, bytes, host, sizeof(host));
    snprintf(out, CLIENT_NAME_BYTES, "%s%s", host,
             address->size == IPV6_NETWORK_BYTES ? "/64" : "");
}

struct client_id client_id_of(const struct client *client)
{
    struct client_id id = {.is_token = client->token != NULL};
    size_t size = client->token ? strlen(client->token) : client->address->size;
    id.size = (uint8_t)(size < sizeof(id.bytes) ? size : sizeof(id.bytes));
    memcpy(id.bytes, client->token ? (const void *)client->token : client->address->bytes, id.size);
    return id;
}

bool client_id_equal(const struct client_id *a, const struct client_id *b)
{
    return a->is_token == b->is_token && a->size == b->size &&
           memcmp(a->bytes, b->bytes, a->size) == 0;
}

void client_id_write(const struct client_id *id, char out[CLIENT_NAME_BYTES])
{
    struct client_address address = {.size = id->size};
    if (id->is_token) {
        snprintf(out, CLIENT_NAME_BYTES, "token %.*s", (int)id->size, id->bytes);
        return;
    }
    memcpy(address.bytes, id->bytes, id->size);
    client_address_write(&address, out);
}
