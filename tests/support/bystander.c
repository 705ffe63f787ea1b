/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/bystander.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/raw_socket.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAUSE_MS = 10 };

/* Asks once; false when the response is not as it should be, which is noted. */
static bool ask(struct bystander *bystander, struct raw_socket *raw)
{
    int64_t asked_ms = wait_now_ms();
    raw_socket_say(raw, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", bystander->path);
    enum raw_end end = raw_socket_read(raw, wait_deadline_ms());
    int64_t took_ms = wait_now_ms() - asked_ms;
    if (end != RAW_RESPONSE || raw->response.status != 200) {
        snprintf(bystander->complaint, sizeof bystander->complaint,
                 "request %d got, after %lld ms, %s of %d: %.300s", bystander->served + 1,
                 (long long)took_ms,
                 end == RAW_RESPONSE ? "an answer"
                 : end == RAW_LATE   ? "nothing"
                                     : "a closed connection",
                 raw->response.status, raw->response.body != NULL ? raw->response.body : "");
        return false;
    }
    if (bystander->expected == NULL) {
        bystander->expected = strdup(raw->response.body);
    }
    if (strcmp(bystander->expected, raw->response.body) != 0) {
        snprintf(bystander->complaint, sizeof bystander->complaint, "the answer became %.300s",
                 raw->response.body);
        return false;
    }
    if (took_ms > bystander->longest_ms) {
        bystander->longest_ms = took_ms;
    }
    bystander->served++;
    return true;
}

static void *ask_until_stop(void *context)
{
    struct bystander *bystander = context;
    struct raw_socket raw;
    if (raw_socket_try_open(&raw, bystander->port)) {
        while (ask(bystander, &raw) && !bystander->stop) {
            wait_for_time(wait_now_ms() + PAUSE_MS);
        }
        raw_socket_close(&raw);
    } else {
        snprintf(bystander->complaint, sizeof bystander->complaint, "cannot connect");
    }
    bystander->ended = true;
    return NULL;
}

void bystander_start(struct bystander *bystander, uint16_t port, const char *path)
{
    *bystander = (struct bystander){.port = port, .path = path};
    assert_int_equal(pthread_create(&bystander->thread, NULL, ask_until_stop, bystander), 0);
    bystander_check_served(bystander, 1);
}

void bystander_stop(struct bystander *bystander)
{
    bystander->stop = true;
    pthread_join(bystander->thread, NULL);
    free(bystander->expected);
    if (bystander->complaint[0] != '\0') {
        fail_msg("another client, served %d times before, met trouble: %s", bystander->served,
                 bystander->complaint);
    }
}

struct waiting {
    struct bystander *bystander;
    int until;
};

static bool was_served(void *context)
{
    struct waiting *waiting = context;
    return waiting->bystander->ended || waiting->bystander->served >= waiting->until;
}

void bystander_check_served(struct bystander *bystander, int count)
{
    struct waiting waiting = {bystander, bystander->served + count};
    bool told = wait_until(was_served, &waiting, wait_deadline_ms());
    if (bystander->served < waiting.until) {
        fail_msg("another client is not served any more, after %d answers: %s", bystander->served,
                 told ? bystander->complaint : "no answer");
    }
}
