/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- members ---------------------------------------------------------------------------------- */

static int by_url(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool member_list_has(const struct member_list *list, const char *url)
{
    return bsearch(url, list->urls, list->count, MEMBER_URL_BYTES, by_url) != NULL;
}

enum error member_list_add(struct member_list *list, const char *address)
{
    char url[MEMBER_URL_BYTES];
    bool has_scheme = strstr(address, "://") != NULL;
    int size = snprintf(url, sizeof(url), "%s%s", has_scheme ? "" : "http://", address);
    if (size < 0 || (size_t)size >= sizeof(url))
        return ERR_INVALID_FIELD;
    if (member_list_has(list, url))
        return ERR_NONE;
    if (list->count == MEMBERS_MAX)
        return ERR_TOO_MANY_ITEMS;
    memcpy(list->urls[list->count++], url, sizeof(url));
    qsort(list->urls, list->count, MEMBER_URL_BYTES, by_url);
    return ERR_NONE;
}

static bool same(const struct member_list *a, const struct member_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->urls[i], b->urls[i]) != 0)
            return false;
    return true;
}

/* The members of `list` that are not in `without`, in order. */
static void subtract(const struct member_list *list, const struct member_list *without,
                     struct member_list *out)
{
    out->count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!member_list_has(without, list->urls[i]))
            memcpy(out->urls[out->count++], list->urls[i], MEMBER_URL_BYTES);
}

/* --- events ----------------------------------------------------------------------------------- */

void cluster_init(struct cluster *cluster)
{
    memset(cluster, 0, sizeof(*cluster));
    pthread_mutex_init(&cluster->publishing, NULL);
}

void cluster_free(struct cluster *cluster)
{
    pthread_mutex_destroy(&cluster->publishing);
}

bool cluster_subscribe(struct cluster *cluster, cluster_subscriber *call, void *context)
{
    if (cluster->subscriber_count == CLUSTER_SUBSCRIBERS_MAX)
        return false;
    cluster->subscribers[cluster->subscriber_count].call = call;
    cluster->subscribers[cluster->subscriber_count].context = context;
    cluster->subscriber_count++;
    return true;
}

static void publish(struct cluster *cluster, const struct cluster_event *event)
{
    for (size_t i = 0; i < cluster->subscriber_count; i++)
        cluster->subscribers[i].call(cluster->subscribers[i].context, event);
}

bool cluster_update(struct cluster *cluster, const struct member_list *members,
                    const struct member_list *blocked)
{
    static const struct member_list empty;
    struct member_list topology;
    struct member_list joined;
    struct member_list left;
    if (!blocked)
        blocked = &empty;
    subtract(members, blocked, &topology);

    pthread_mutex_lock(&cluster->publishing);
    bool is_changed = !cluster->published || !same(&topology, &cluster->topology) ||
                      !same(blocked, &cluster->blocked);
    if (is_changed) {
        subtract(&topology, &cluster->topology, &joined);
        subtract(&cluster->topology, &topology, &left);
        cluster->topology = topology;
        cluster->blocked = *blocked;
        cluster->published = true;
        publish(cluster, &(struct cluster_event){.kind = CLUSTER_TOPOLOGY_UPDATED,
                                                 .topology = &cluster->topology,
                                                 .joined = &joined,
                                                 .left = &left,
                                                 .blocked = &cluster->blocked});
    }
    pthread_mutex_unlock(&cluster->publishing);
    return is_changed;
}

void cluster_members(struct cluster *cluster, struct member_list *out)
{
    pthread_mutex_lock(&cluster->publishing);
    *out = cluster->topology;
    pthread_mutex_unlock(&cluster->publishing);
}

void cluster_publish_state(struct cluster *cluster, enum cluster_event_kind kind,
                           const char *reason)
{
    pthread_mutex_lock(&cluster->publishing);
    publish(cluster, &(struct cluster_event){
                         .kind = kind, .reason = reason, .topology = &cluster->topology});
    pthread_mutex_unlock(&cluster->publishing);
}
