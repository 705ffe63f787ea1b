/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/host_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>

/* Writes the address of an interface. False: other hosts cannot use it. */
static bool format_address(const struct ifaddrs *interface, char out[INET6_ADDRSTRLEN])
{
    const unsigned wanted = IFF_UP | IFF_RUNNING;
    const struct sockaddr *address = interface->ifa_addr;
    if (!address || (interface->ifa_flags & wanted) != wanted ||
        (interface->ifa_flags & IFF_LOOPBACK))
        return false;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof(ipv4));
        return inet_ntop(AF_INET, &ipv4.sin_addr, out, INET6_ADDRSTRLEN) != NULL;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, address, sizeof(ipv6));
        return !IN6_IS_ADDR_LINKLOCAL(&ipv6.sin6_addr) &&
               inet_ntop(AF_INET6, &ipv6.sin6_addr, out, INET6_ADDRSTRLEN) != NULL;
    }
    return false;
}

static void add(struct host_addresses *out, const char *text)
{
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->items[i], text) == 0)
            return;
    memcpy(out->texts[out->count], text, INET6_ADDRSTRLEN);
    out->items[out->count] = out->texts[out->count];
    out->count++;
}

enum error host_addresses_list(struct host_addresses *out)
{
    struct ifaddrs *interfaces;
    out->count = 0;
    if (getifaddrs(&interfaces) != 0)
        return ERR_SYSTEM;
    for (const struct ifaddrs *i = interfaces; i && out->count < HOST_ADDRESSES_MAX;
         i = i->ifa_next) {
        char text[INET6_ADDRSTRLEN] = "";
        if (format_address(i, text))
            add(out, text);
    }
    freeifaddrs(interfaces);
    return ERR_NONE;
}
