/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster_fixture - a cluster that logs its events as text, for the tests of its modules.
 *
 * Each event is one line: "updated [a b] +[b] -[] !blocked[]", "startup", "startup-failed: reason".
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include "artemis-server/cluster/topology.h"
#include "tests/support/cmocka_all.h"

struct log {
    struct cluster cluster;
    char text[8192];
};
static struct log events;

static inline void log_word(const char *word)
{
    size_t used = strlen(events.text);
    assert_true(used + strlen(word) < sizeof(events.text));
    memcpy(events.text + used, word, strlen(word) + 1);
}

/* Without the scheme, which is the same for all. */
static inline void log_list(const char *sign, const struct member_list *list)
{
    log_word(sign);
    log_word("[");
    for (size_t i = 0; i < list->count; i++) {
        assert_int_equal(strncmp(list->items[i].url, "http://", 7), 0);
        log_word(i ? " " : "");
        log_word(list->items[i].url + 7);
    }
    log_word("]");
}

static inline void log_event(void *context, const struct cluster_event *event)
{
    static const char *const words[] = {"startup",           "startup-failed",  "updated",
                                        "shutdown",          "shutdown-failed", "provider-failed",
                                        "provider-recovered"};
    (void)context;
    log_word(words[event->kind]);
    if (event->kind == CLUSTER_TOPOLOGY_UPDATED) {
        log_list(" ", event->topology);
        log_list(" +", event->joined);
        log_list(" -", event->left);
        log_list(" !", event->blocked);
    }
    if (event->reason && event->kind != CLUSTER_TOPOLOGY_UPDATED) {
        log_word(": ");
        log_word(event->reason);
    }
    log_word("\n");
}

static inline int open_cluster(void **state)
{
    (void)state;
    cluster_init(&events.cluster);
    events.text[0] = '\0';
    assert_true(cluster_subscribe(&events.cluster, log_event, NULL));
    return 0;
}

static inline int close_cluster(void **state)
{
    (void)state;
    cluster_free(&events.cluster);
    return 0;
}

/* Compares the events since the last call. */
static inline void expect_events(const char *text)
{
    assert_string_equal(events.text, text);
    events.text[0] = '\0';
}

/* Addresses, separated by blanks. */
static inline struct member_list members_of(const char *words)
{
    struct member_list list = {0};
    char copy[1024];
    char *rest = NULL;
    snprintf(copy, sizeof(copy), "%s", words);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        assert_int_equal(member_list_add(&list, word), ERR_NONE);
    return list;
}
