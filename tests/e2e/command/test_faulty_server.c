/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands whose server responds with a fault: each ends with an error, and prints no control
 * characters.
 */
#include "tests/support/cmocka_all.h"
#include "tests/support/command.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/servers/response_faults.h"
#include "tests/support/servers/server_process.h"

#include "artemis-core/base/text.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static struct fake_server server;
static struct fake_server elsewhere;
static atomic_uint followed;                       /* redirects */
static const struct response_fault *_Atomic fault; /* read by the threads of the server */

static bool send_fault(int fd, const char *head, void *context)
{
    (void)head;
    (void)context;
    atomic_load(&fault)->send(fd, elsewhere.url);
    shutdown(fd, SHUT_RDWR);
    return true;
}

static void respond_elsewhere(const char *head, char *response, size_t size, void *context)
{
    (void)head;
    (void)context;
    atomic_fetch_add(&followed, 1);
    snprintf(response, size, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
}

static int start(void **state)
{
    (void)state;
    fake_server_start(&elsewhere, respond_elsewhere, NULL); /* the threads of the other read it */
    fake_server_start_stream(&server, respond_elsewhere, send_fault, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_server_stop(&server);
    fake_server_stop(&elsewhere);
    return 0;
}

static void check_printable(const char *text)
{
    assert_true(text_is_utf8(slice_of(text)));
    for (const char *at = text; *at; at++)
        if (((unsigned char)*at < ' ' && *at != '\n') || *at == 0x7f)
            fail_msg("after \"%s\": control character in %s", fault->name, text);
}

static void check_command(const char *const args[])
{
    char url[64];
    snprintf(url, sizeof url, "ARTEMIS_URL=%s", server.url);
    struct command_result result = command_run(args, (const char *const[]){url, NULL});
    check_printable(result.out);
    check_printable(result.err);
    if (result.exit_code == 0 || result.exit_code > 100)
        fail_msg("after \"%s\": %s ended with %d: %s%s", fault->name, args[0], result.exit_code,
                 result.out, result.err);
    command_free(&result);
}

static void commands_end_with_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < response_fault_count; i++) {
        fault = &response_faults[i];
        check_command((const char *const[]){"services", "--timeout", "1", NULL});
        check_command((const char *const[]){"status", "--timeout", "1", NULL});
        check_command((const char *const[]){"snapshot", "save", "-", "--timeout", "1", NULL});
    }
    assert_int_equal(atomic_load(&followed), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commands_end_with_an_error, start, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
