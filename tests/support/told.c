/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/told.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

void told_begin(struct told *told)
{
    *told = (struct told){0};
    pthread_mutex_init(&told->lock, NULL);
}

void told_end(struct told *told)
{
    pthread_mutex_destroy(&told->lock);
}

void told_change(const struct artemis_change *change, void *context)
{
    static const char signs[] = {
        [ARTEMIS_NEW] = '+', [ARTEMIS_CHANGE] = '~', [ARTEMIS_DELETE] = '-'};
    struct told *told = context;
    pthread_mutex_lock(&told->lock);
    size_t used = strlen(told->text);
    snprintf(told->text + used, sizeof told->text - used, "%c%s ", signs[change->type],
             change->instance->instance_id);
    told->count++;
    pthread_mutex_unlock(&told->lock);
}

static void copy(struct told *told, char out[TOLD_BYTES])
{
    pthread_mutex_lock(&told->lock);
    memcpy(out, told->text, TOLD_BYTES);
    pthread_mutex_unlock(&told->lock);
}

struct expectation {
    struct told *told;
    const char *text; /* NULL: only the count */
    int count;
};

static bool is_met(void *context)
{
    const struct expectation *expectation = context;
    char text[TOLD_BYTES];
    copy(expectation->told, text);
    if (expectation->text)
        return strcmp(text, expectation->text) == 0;
    pthread_mutex_lock(&expectation->told->lock);
    int count = expectation->told->count;
    pthread_mutex_unlock(&expectation->told->lock);
    return count >= expectation->count;
}

void told_wait(struct told *told, const char *expected)
{
    struct expectation expectation = {.told = told, .text = expected};
    (void)wait_until(is_met, &expectation, wait_deadline_ms());
    told_check(told, expected);
}

void told_wait_count(struct told *told, int count)
{
    struct expectation expectation = {.told = told, .count = count};
    assert_true(wait_until(is_met, &expectation, wait_deadline_ms()));
}

void told_check(struct told *told, const char *expected)
{
    char text[TOLD_BYTES];
    copy(told, text);
    assert_string_equal(text, expected);
}

void told_forget(struct told *told)
{
    pthread_mutex_lock(&told->lock);
    told->text[0] = '\0';
    told->count = 0;
    pthread_mutex_unlock(&told->lock);
}
