/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/client/watch_log.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

void watch_log_init(struct watch_log *log)
{
    *log = (struct watch_log){0};
    pthread_mutex_init(&log->lock, NULL);
}

void watch_log_free(struct watch_log *log)
{
    pthread_mutex_destroy(&log->lock);
}

void watch_log_on_change(const struct artemis_change *change, void *context)
{
    static const char signs[] = {
        [ARTEMIS_NEW] = '+', [ARTEMIS_CHANGE] = '~', [ARTEMIS_DELETE] = '-'};
    struct watch_log *log = context;
    pthread_mutex_lock(&log->lock);
    size_t used = strlen(log->text);
    snprintf(log->text + used, sizeof log->text - used, "%c%s ", signs[change->type],
             change->instance->instance_id);
    log->count++;
    pthread_mutex_unlock(&log->lock);
}

static void copy(struct watch_log *log, char out[WATCH_LOG_BYTES])
{
    pthread_mutex_lock(&log->lock);
    memcpy(out, log->text, WATCH_LOG_BYTES);
    pthread_mutex_unlock(&log->lock);
}

struct expectation {
    struct watch_log *log;
    const char *text; /* NULL: only the count */
    int count;
};

static bool is_met(void *context)
{
    const struct expectation *expectation = context;
    char text[WATCH_LOG_BYTES];
    copy(expectation->log, text);
    if (expectation->text)
        return strcmp(text, expectation->text) == 0;
    pthread_mutex_lock(&expectation->log->lock);
    int count = expectation->log->count;
    pthread_mutex_unlock(&expectation->log->lock);
    return count >= expectation->count;
}

void watch_log_wait(struct watch_log *log, const char *expected)
{
    struct expectation expectation = {.log = log, .text = expected};
    (void)wait_until(is_met, &expectation, wait_deadline_ms());
    watch_log_check(log, expected);
}

void watch_log_wait_count(struct watch_log *log, int count)
{
    struct expectation expectation = {.log = log, .count = count};
    assert_true(wait_until(is_met, &expectation, wait_deadline_ms()));
}

void watch_log_check(struct watch_log *log, const char *expected)
{
    char text[WATCH_LOG_BYTES];
    copy(log, text);
    assert_string_equal(text, expected);
}

void watch_log_clear(struct watch_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->text[0] = '\0';
    log->count = 0;
    pthread_mutex_unlock(&log->lock);
}
