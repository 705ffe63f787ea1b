/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/dns_response.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <ctype.h>
#include <limits.h>
#include <string.h>

enum { SRV_FIXED_BYTES = 6, SRV_PORT_AT = 4 };

static bool is_host(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_");
    return size > 0 && name[size] == '\0' && name[0] != '.';
}

static bool read_address(int family, size_t bytes, const ns_rr *rr, struct dns_record *record)
{
    return ns_rr_rdlen(*rr) == bytes &&
           inet_ntop(family, ns_rr_rdata(*rr), record->host, sizeof(record->host));
}

static bool read_target(const ns_msg *message, const ns_rr *rr, struct dns_record *record)
{
    const unsigned char *data = ns_rr_rdata(*rr);
    if (ns_rr_rdlen(*rr) <= SRV_FIXED_BYTES ||
        ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), data + SRV_FIXED_BYTES,
                           record->host, sizeof(record->host)) < 0)
        return false;
    for (char *c = record->host; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    record->port = (uint16_t)(data[SRV_PORT_AT] << CHAR_BIT | data[SRV_PORT_AT + 1]);
    return record->port != 0 && is_host(record->host);
}

static bool read_record(const ns_msg *message, const ns_rr *rr, enum dns_type type,
                        struct dns_record *record)
{
    *record = (struct dns_record){0};
    switch (type) {
    case DNS_A:
        return read_address(AF_INET, sizeof(struct in_addr), rr, record);
    case DNS_AAAA:
        return read_address(AF_INET6, sizeof(struct in6_addr), rr, record);
    case DNS_SRV:
        return read_target(message, rr, record);
    }
    return false;
}

static int compare(const struct dns_record *a, const struct dns_record *b)
{
    int order = strcmp(a->host, b->host);
    return order ? order : (a->port > b->port) - (a->port < b->port);
}

/* Of too many records the first ones in order are kept: servers send them in changing order, and
 * all nodes must choose the same. */
static void keep(struct dns_response *out, const struct dns_record *record)
{
    size_t last = 0;
    if (out->count < DNS_RECORDS_MAX) {
        out->records[out->count++] = *record;
        return;
    }
    out->left_out++;
    for (size_t i = 1; i < out->count; i++)
        if (compare(&out->records[i], &out->records[last]) > 0)
            last = i;
    if (compare(record, &out->records[last]) < 0)
        out->records[last] = *record;
}

bool dns_response_read(const uint8_t *data, size_t size, enum dns_type type,
                       struct dns_response *out)
{
    ns_msg message;
    ns_rr rr;
    struct dns_record record;
    out->count = out->left_out = 0;
    out->ttl_secs = UINT32_MAX;
    if (size > NS_MAXMSG || ns_initparse(data, (int)size, &message) < 0)
        return false;
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        if (ns_parserr(&message, ns_s_an, i, &rr) < 0)
            return false;
        if (ns_rr_class(rr) != ns_c_in)
            continue;
        if (ns_rr_ttl(rr) < out->ttl_secs) /* aliases on the way count too */
            out->ttl_secs = ns_rr_ttl(rr);
        if (ns_rr_type(rr) != (unsigned)type || !read_record(&message, &rr, type, &record))
            continue;
        keep(out, &record);
    }
    return true;
}
