/* SPDX-License-Identifier: Apache-2.0
 *
 * consul_plan_fixture - a plan of the node "own" and the responses of Consul, for its tests.
 */
#pragma once

#include "artemis-server/cluster/providers/consul/consul_plan.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#define URL "http://127.0.0.1:8500/v1/"

enum { START_MS = 1000000, TTL_MS = 9000, RETRY_MS = 100 };

static struct config config;
static struct consul_plan plan;
static uint64_t now_ms;

static inline int set_up(void **state)
{
    (void)state;
    memset(&config, 0, sizeof config);
    config.cluster.consul.ttl_secs = TTL_MS / 1000;
    snprintf(config.cluster.consul.address, CONFIG_TEXT_BYTES, "127.0.0.1:8500");
    snprintf(config.cluster.consul.service, CONFIG_TEXT_BYTES, "art");
    snprintf(config.server.node_id, CONFIG_TEXT_BYTES, "own");
    snprintf(config.server.region, CONFIG_TEXT_BYTES, "r");
    snprintf(config.server.zone, CONFIG_TEXT_BYTES, "z\"");
    now_ms = START_MS;
    consul_plan_init(&plan, &config, "http://10.0.0.1:9");
    return 0;
}

/* --- Consul ----------------------------------------------------------------------------------- */

static inline void expect_step(enum consul_step expected)
{
    enum consul_step step = consul_plan_next(&plan, now_ms);
    if (step != expected)
        fail_msg("the step is %d, not %d", step, expected);
}

static inline void start_step(enum consul_step step)
{
    expect_step(step);
    consul_plan_on_start(&plan, step, now_ms);
}

static inline void succeed(enum consul_step step)
{
    start_step(step);
    consul_plan_on_success(&plan, step, now_ms);
}

static inline void refuse(enum consul_step step, long status, const char *body)
{
    start_step(step);
    consul_plan_on_failure(&plan, step, status, slice_of(body), "problem", 0, now_ms);
}

/* Adds the instance of a node: "n1" has the port 1; "n0" has no valid one; "own" is this node;
 * "own50" has its id, and the port 50. */
static inline void add_instance(struct text *out, const char *word)
{
    bool has_own_id = strncmp(word, "own", 3) == 0;
    const char *port = has_own_id && word[3] ? word + 3 : "9";
    text_printf(out,
                "{\"Node\":{},\"Service\":{\"ID\":\"%s\",\"Address\":\"10.0.0.1\",\"Port\":%s}}",
                has_own_id ? "art-own" : word, has_own_id ? port : word + 1);
}

/* The response to the query that is in flight. */
static inline void respond_list(const char *words, const char *index)
{
    char copy[1024];
    char *next;
    struct text body = {0};
    snprintf(copy, sizeof copy, "%s", words);
    text_append_char(&body, '[');
    for (char *word = strtok_r(copy, " ", &next); word; word = strtok_r(NULL, " ", &next)) {
        if (body.size > 1)
            text_append_char(&body, ',');
        add_instance(&body, word);
    }
    text_append_char(&body, ']');
    consul_plan_on_list(&plan, &(struct consul_list){{body.data, body.size}, index, NULL}, 0,
                        now_ms);
    text_free(&body);
}

/* Waits until the next query is due, and answers it. */
static inline void read_list(const char *words, const char *index)
{
    if (plan.reading.due_ms > now_ms)
        now_ms = plan.reading.due_ms;
    if (consul_plan_next(&plan, now_ms) == CONSUL_UPDATE)
        succeed(CONSUL_UPDATE);
    start_step(CONSUL_READ);
    respond_list(words, index);
}

/* Registers this node and reads these instances, with the index 10. */
static inline void begin(const char *words)
{
    succeed(CONSUL_REGISTER);
    succeed(CONSUL_UPDATE);
    read_list(words, "10");
    expect_step(CONSUL_NO_STEP);
    assert_true(consul_plan_is_well(&plan));
}

/* Takes the list: its ports, such as "1 2"; "same": it has not changed. */
static inline void expect_list(const char *expected)
{
    struct member_list members;
    const char *reason;
    char ports[256] = "";
    if (!consul_plan_take_list(&plan, &members, &reason)) {
        assert_string_equal("same", expected);
        return;
    }
    for (size_t i = 0; i < members.count; i++)
        snprintf(ports + strlen(ports), sizeof ports - strlen(ports), "%s%s", i > 0 ? " " : "",
                 strrchr(members.items[i].url, ':') + 1);
    assert_string_equal(ports, expected);
    assert_true(reason[0] != '\0');
}

static inline void expect_warning(const char *part)
{
    char warning[CONSUL_WARNING_BYTES];
    assert_true(consul_plan_warning(&plan, warning) == (part[0] != '\0'));
    if (!strstr(warning, part))
        fail_msg("the warning is: %s", warning);
}

static inline void check_request(enum consul_step step, const char *method, const char *url,
                                 const char *body)
{
    struct text written_url = {0};
    struct text written = {0};
    assert_true(consul_plan_write(&plan, step, &written_url, &written));
    assert_string_equal(consul_plan_method(step), method);
    assert_string_equal(text_string(&written_url), url);
    assert_string_equal(text_string(&written), body);
    text_free(&written_url);
    text_free(&written);
}
