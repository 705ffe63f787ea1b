/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- members ---------------------------------------------------------------------------------- */

static int by_url(const void *a, const void *b)
{
    const struct member *member = a;
    const struct member *other = b;
    return strcmp(member->url, other->url);
}

static int compare_url(const void *url, const void *member)
{
    return strcmp(url, ((const struct member *)member)->url);
}

const struct member *member_list_find(const struct member_list *list, const char *url)
{
    return bsearch(url, list->items, list->count, sizeof(list->items[0]), compare_url);
}

bool member_list_has(const struct member_list *list, const char *url)
{
    return member_list_find(list, url) != NULL;
}

enum error member_list_add_named(struct member_list *list, const char *address, const char *name)
{
    char url[MEMBER_URL_BYTES];
    bool has_scheme = strstr(address, "://") != NULL;
    int size = snprintf(url, sizeof(url), "%s%s", has_scheme ? "" : "http://", address);
    size_t name_size = strlen(name) + 1;
    if (size < 0 || (size_t)size >= sizeof(url) || name_size > MEMBER_NAME_BYTES)
        return ERR_INVALID_FIELD;
    if (member_list_has(list, url))
        return ERR_NONE;
    if (list->count == MEMBERS_MAX)
        return ERR_TOO_MANY_ITEMS;
    struct member *member = &list->items[list->count++];
    *member = (struct member){0};
    memcpy(member->url, url, (size_t)size + 1);
    memcpy(member->name, name, name_size);
    qsort(list->items, list->count, sizeof(list->items[0]), by_url);
    return ERR_NONE;
}

enum error member_list_add(struct member_list *list, const char *address)
{
    return member_list_add_named(list, address, "");
}

size_t member_list_merge(struct member_list *list, const struct member_list *added)
{
    size_t left_out = 0;
    for (size_t i = 0; i < added->count; i++)
        left_out += member_list_add_named(list, added->items[i].url, added->items[i].name) != 0;
    return left_out;
}

bool member_list_equal(const struct member_list *a, const struct member_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i].url, b->items[i].url) != 0 ||
            strcmp(a->items[i].name, b->items[i].name) != 0)
            return false;
    return true;
}

/* The members of `list` that are not in `without`, in order. */
static void subtract(const struct member_list *list, const struct member_list *without,
                     struct member_list *out)
{
    out->count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!member_list_has(without, list->items[i].url))
            out->items[out->count++] = list->items[i];
}

/* Whether a member of `before` is missing in `list`, or has another name there. */
static bool lacks_any(const struct member_list *list, const struct member_list *before)
{
    for (size_t i = 0; i < before->count; i++) {
        const struct member *found = member_list_find(list, before->items[i].url);
        if (!found || strcmp(found->name, before->items[i].name) != 0)
            return true;
    }
    return false;
}

/* --- events ----------------------------------------------------------------------------------- */

void cluster_init(struct cluster *cluster)
{
    memset(cluster, 0, sizeof(*cluster));
    pthread_mutex_init(&cluster->publishing, NULL);
    cluster->member_name = "";
}

void cluster_set_member_name(struct cluster *cluster, const char *name)
{
    cluster->member_name = name;
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
                    const struct member_list *blocked, const char *reason)
{
    static const struct member_list empty;
    struct member_list topology;
    struct member_list joined;
    struct member_list left;
    if (!blocked)
        blocked = &empty;
    subtract(members, blocked, &topology);

    pthread_mutex_lock(&cluster->publishing);
    bool is_changed = !cluster->published || !member_list_equal(&topology, &cluster->topology) ||
                      !member_list_equal(blocked, &cluster->blocked);
    if (is_changed) {
        subtract(&topology, &cluster->topology, &joined);
        subtract(&cluster->topology, &topology, &left);
        cluster->departures += lacks_any(&topology, &cluster->topology);
        cluster->topology = topology;
        cluster->blocked = *blocked;
        cluster->published = true;
        publish(cluster, &(struct cluster_event){.kind = CLUSTER_TOPOLOGY_UPDATED,
                                                 .reason = reason,
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

size_t cluster_member_count(struct cluster *cluster)
{
    pthread_mutex_lock(&cluster->publishing);
    size_t count = cluster->topology.count;
    pthread_mutex_unlock(&cluster->publishing);
    return count;
}

uint64_t cluster_departures(struct cluster *cluster)
{
    pthread_mutex_lock(&cluster->publishing);
    uint64_t departures = cluster->departures;
    pthread_mutex_unlock(&cluster->publishing);
    return departures;
}

void cluster_publish_state(struct cluster *cluster, enum cluster_event_kind kind,
                           const char *reason)
{
    pthread_mutex_lock(&cluster->publishing);
    publish(cluster, &(struct cluster_event){
                         .kind = kind, .reason = reason, .topology = &cluster->topology});
    pthread_mutex_unlock(&cluster->publishing);
}
