/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/client/background_client.h"

#include "tests/support/client/raw_socket.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAUSE_MS = 10 };

/* Asks once; false when the response is not as it should be, which is noted. */
static bool ask(struct background_client *background_client, struct raw_socket *raw)
{
    int64_t asked_ms = wait_now_ms();
    raw_socket_sendf(raw, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", background_client->path);
    enum raw_end end = raw_socket_read(raw, wait_deadline_ms());
    int64_t took_ms = wait_now_ms() - asked_ms;
    if (end != RAW_RESPONSE || raw->response.status != 200) {
        snprintf(background_client->problem, sizeof background_client->problem,
                 "request %d got, after %lld ms, %s of %d: %.300s", background_client->served + 1,
                 (long long)took_ms,
                 end == RAW_RESPONSE ? "an answer"
                 : end == RAW_LATE   ? "nothing"
                                     : "a closed connection",
                 raw->response.status, raw->response.body != NULL ? raw->response.body : "");
        return false;
    }
    if (background_client->expected == NULL) {
        background_client->expected = strdup(raw->response.body);
    }
    if (strcmp(background_client->expected, raw->response.body) != 0) {
        snprintf(background_client->problem, sizeof background_client->problem,
                 "the answer became %.300s", raw->response.body);
        return false;
    }
    if (took_ms > background_client->longest_ms) {
        background_client->longest_ms = took_ms;
    }
    background_client->served++;
    return true;
}

static void *ask_until_stop(void *context)
{
    struct background_client *background_client = context;
    struct raw_socket raw;
    if (raw_socket_try_open(&raw, background_client->port)) {
        while (ask(background_client, &raw) && !background_client->stop) {
            wait_for_time(wait_now_ms() + PAUSE_MS);
        }
        raw_socket_close(&raw);
    } else {
        snprintf(background_client->problem, sizeof background_client->problem, "cannot connect");
    }
    background_client->ended = true;
    return NULL;
}

void background_client_start(struct background_client *background_client, uint16_t port,
                             const char *path)
{
    *background_client = (struct background_client){.port = port, .path = path};
    assert_int_equal(
        pthread_create(&background_client->thread, NULL, ask_until_stop, background_client), 0);
    background_client_check_served(background_client, 1);
}

void background_client_stop(struct background_client *background_client)
{
    background_client->stop = true;
    pthread_join(background_client->thread, NULL);
    free(background_client->expected);
    if (background_client->problem[0] != '\0') {
        fail_msg("another client, served %d times before, met trouble: %s",
                 background_client->served, background_client->problem);
    }
}

struct waiting {
    struct background_client *background_client;
    int until;
};

static bool was_served(void *context)
{
    struct waiting *waiting = context;
    return waiting->background_client->ended ||
           waiting->background_client->served >= waiting->until;
}

void background_client_check_served(struct background_client *background_client, int count)
{
    struct waiting waiting = {background_client, background_client->served + count};
    bool ended = wait_until(was_served, &waiting, wait_deadline_ms());
    if (background_client->served < waiting.until) {
        fail_msg("another client is no longer served, after %d responses: %s",
                 background_client->served, ended ? background_client->problem : "no response");
    }
}
