/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines of the log as text and as JSON, and the thread that writes them. Stderr is a pipe of
 * the test.
 */
#include "artemis-server/log.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "artemis-server/log_writer.h"

enum { TEXT_MAX = 4 * 1024 * 1024, LINES = 20000, PIPE_BYTES = 64 * 1024 };

static int saved_stderr;
static int reader = -1;
static char *text;
static size_t text_size;

static int set_up(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    text = calloc(1, TEXT_MAX);
    text_size = 0;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    return 0;
}

static void restore_stderr(void)
{
    dup2(saved_stderr, STDERR_FILENO);
}

static int tear_down(void **state)
{
    (void)state;
    restore_stderr();
    close(saved_stderr);
    close(reader);
    free(text);
    return 0;
}

/* Reads until `part` has arrived. */
static void read_until(const char *part)
{
    int64_t deadline = wait_deadline_ms();
    while (!strstr(text, part)) {
        assert_true(wait_readable(reader, deadline));
        ssize_t got = read(reader, text + text_size, TEXT_MAX - 1 - text_size);
        assert_true(got > 0);
        text_size += (size_t)got;
        text[text_size] = '\0';
    }
}

/* Reads to the end; nothing more is written. */
static void read_all(void)
{
    ssize_t got;
    restore_stderr();
    while ((got = read(reader, text + text_size, TEXT_MAX - 1 - text_size)) > 0)
        text_size += (size_t)got;
    text[text_size] = '\0';
}

/* The line without its time, whose length is fixed. */
static const char *after_time(const char *line)
{
    assert_true(strlen(line) > 25);
    return line + 25;
}

/* --- lines ------------------------------------------------------------------------------------ */

static void text_line_has_message_and_fields(void **state)
{
    (void)state;
    log_event(LOG_LEVEL_WARN, "peer is down", LOG_TEXT("peer", "b"), LOG_TEXT("service", NULL),
              LOG_TEXT("client", ""), LOG_NUMBER("duration_ms", 17),
              LOG_TEXT("reason", "no \"route\" = lost"));
    read_all();
    assert_string_equal(after_time(text), "warn  peer is down peer=b duration_ms=17 "
                                          "reason=\"no \\\"route\\\" = lost\"\n");
}

static void json_line_has_fields_beside_the_message(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    log_event(LOG_LEVEL_ERROR, "peer is down", LOG_TEXT("peer", "b\"\n"), LOG_TEXT("service", NULL),
              LOG_NUMBER("duration_ms", 17));
    read_all();
    const char *level = strstr(text, "\"level\"");
    assert_non_null(level);
    assert_string_equal(level, "\"level\":\"error\",\"message\":\"peer is down\",\"node\":\"n1\","
                               "\"peer\":\"b\\\" \",\"duration_ms\":17}\n");
}

static void message_is_one_line_of_valid_utf8(void **state)
{
    (void)state;
    log_line(LOG_LEVEL_INFO, "a\nb\x7f%s", "\xc3");
    log_line(LOG_LEVEL_INFO, "caf\xc3\xa9");
    log_line(LOG_LEVEL_INFO, "c1\xc2\x9b\x33\x31m");         /* would colour a terminal */
    log_line(LOG_LEVEL_INFO, "x\xe2\x80\xaey\xe2\x81\xa6z"); /* would reverse what follows */
    read_all();
    assert_non_null(strstr(text, "info  a b ?\n"));
    assert_non_null(strstr(text, "info  caf\xc3\xa9\n"));
    assert_non_null(strstr(text, "info  c1  31m\n"));
    assert_non_null(strstr(text, "info  x   y   z\n"));
}

static void lines_below_the_level_are_left_out(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_WARN, LOG_FORMAT_TEXT, NULL);
    log_line(LOG_LEVEL_INFO, "hidden");
    log_event(LOG_LEVEL_INFO, "hidden", LOG_NUMBER("n", 1));
    assert_false(log_admit(LOG_LEVEL_INFO));
    log_line(LOG_LEVEL_WARN, "shown");
    read_all();
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "shown"));
}

/* --- the writer ------------------------------------------------------------------------------- */

static void lines_before_during_and_after_the_thread_are_in_order(void **state)
{
    (void)state;
    log_line(LOG_LEVEL_INFO, "line 0");
    assert_int_equal(log_start(), ERR_NONE);
    for (int i = 1; i <= 100; i++)
        log_line(LOG_LEVEL_INFO, "line %d", i);
    log_stop();
    log_line(LOG_LEVEL_INFO, "line 101");
    read_all();
    const char *at = text;
    for (int i = 0; i <= 101; i++) {
        char part[32];
        snprintf(part, sizeof(part), "line %d\n", i);
        at = strstr(at, part);
        assert_non_null(at);
    }
}

/* The sum of all reports: a writer that gets no processor for a while reports in parts. */
static uint64_t reported_lines(void)
{
    static const char report[] = "log lines were dropped: stderr was not read in time lines=";
    uint64_t lines = 0;
    for (const char *at = text; (at = strstr(at, report)); at++)
        lines += strtoull(at + strlen(report), NULL, 10);
    return lines;
}

/* Without a queue the first full pipe would stop this test. */
static void stalled_reader_stops_no_caller(void **state)
{
    (void)state;
    uint64_t dropped_before = log_dropped();
    assert_int_equal(log_start(), ERR_NONE);
    for (int i = 0; i < LINES; i++)
        log_line(LOG_LEVEL_INFO, "line %05d %0100d", i, 0);
    uint64_t dropped = log_dropped() - dropped_before;
    assert_true(dropped > 0);
    read_until("log lines were dropped"); /* the report comes by itself */
    log_line(LOG_LEVEL_INFO, "later");
    read_until("later");
    log_stop();
    read_all();
    assert_true(text_size < LOG_QUEUE_BYTES_MAX + PIPE_BYTES + 8192);
    assert_true(reported_lines() == dropped);
    int received = 0;
    int last = -1;
    for (const char *at = text; (at = strstr(at, "info  line ")); received++) {
        int number = (int)strtol(at + strlen("info  line "), NULL, 10);
        assert_true(number > last);
        last = number;
        at++;
    }
    assert_int_equal(received + (int)dropped, LINES);
}

static void stop_does_not_wait_for_a_stalled_reader(void **state)
{
    (void)state;
    assert_int_equal(log_start(), ERR_NONE);
    for (int i = 0; i < LINES; i++)
        log_line(LOG_LEVEL_INFO, "line %05d %0100d", i, 0);
    log_writer_stop(10);
    read_all();
    assert_true(text_size <= PIPE_BYTES);
    assert_int_equal(log_start(), ERR_NONE); /* and what was left is gone */
    log_stop();
}

static void closed_reader_is_ignored(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    close(reader);
    reader = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(log_start(), ERR_NONE);
    for (int i = 0; i < LINES; i++)
        log_line(LOG_LEVEL_INFO, "line %05d %0100d", i, 0);
    log_stop();
}

static void abort_writes_the_queue_first(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        if (log_start())
            _exit(1);
        for (int i = 0; i < 100; i++)
            log_line(LOG_LEVEL_INFO, "line %d", i);
        abort();
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    read_all();
    assert_non_null(strstr(text, "line 99\n"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(text_line_has_message_and_fields),
        TEST(json_line_has_fields_beside_the_message),
        TEST(message_is_one_line_of_valid_utf8),
        TEST(lines_below_the_level_are_left_out),
        TEST(lines_before_during_and_after_the_thread_are_in_order),
        TEST(stalled_reader_stops_no_caller),
        TEST(stop_does_not_wait_for_a_stalled_reader),
        TEST(closed_reader_is_ignored),
        TEST(abort_writes_the_queue_first),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
