/* SPDX-License-Identifier: Apache-2.0
 *
 * acceptor_stop accepts the connections of the backlog, and returns however many others arrive. The
 * listener is a Unix socket, which needs no ports.
 */
#include "artemis-web/connections/acceptor.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

enum {
    PENDING = 100,
    /* A flood ends by itself, so that an acceptor that does not end fails the test. */
    FLOOD_MAX = 1000 * 1000,
};

struct target {
    struct sockaddr_un address;
    socklen_t address_size;
    atomic_uint accepted;
};

static int listen_at(struct target *target)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    *target = (struct target){.address_size = sizeof(target->address)};
    /* Without a path the system chooses a name. */
    assert_int_equal(bind(fd, (struct sockaddr *)&any, offsetof(struct sockaddr_un, sun_path)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&target->address, &target->address_size),
                     0);
    assert_int_equal(listen(fd, PENDING), 0);
    return fd;
}

/* The connection stays in the backlog when its client has closed it. */
static bool connect_and_close(const struct target *target)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected =
        connect(fd, (const struct sockaddr *)&target->address, target->address_size) == 0;
    close(fd);
    return connected;
}

static void count(void *context, int fd, const struct sockaddr *peer, socklen_t size)
{
    struct target *target = context;
    (void)peer;
    (void)size;
    close(fd);
    atomic_fetch_add(&target->accepted, 1);
}

static void count_and_connect_again(void *context, int fd, const struct sockaddr *peer,
                                    socklen_t size)
{
    struct target *target = context;
    count(context, fd, peer, size);
    if (atomic_load(&target->accepted) < FLOOD_MAX)
        (void)connect_and_close(target);
}

static void pending_connections_are_accepted_before_the_end(void **state)
{
    (void)state;
    struct target target;
    struct acceptor *acceptor;
    int listener = listen_at(&target);
    for (int i = 0; i < PENDING; i++)
        assert_true(connect_and_close(&target));
    assert_int_equal(acceptor_start(listener, count, &target, &acceptor), ERR_NONE);
    acceptor_stop(acceptor);
    assert_int_equal(target.accepted, PENDING);
}

static bool flood_has_begun(void *context)
{
    const struct target *target = context;
    return atomic_load(&target->accepted) > PENDING;
}

static void flood_of_connections_does_not_keep_it_from_ending(void **state)
{
    (void)state;
    struct target target;
    struct acceptor *acceptor;
    int listener = listen_at(&target);
    assert_true(connect_and_close(&target));
    assert_int_equal(acceptor_start(listener, count_and_connect_again, &target, &acceptor),
                     ERR_NONE);
    assert_true(wait_until(flood_has_begun, &target, wait_deadline_ms()));
    acceptor_stop(acceptor);
    assert_in_range(target.accepted, PENDING, FLOOD_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pending_connections_are_accepted_before_the_end),
        cmocka_unit_test(flood_of_connections_does_not_keep_it_from_ending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
