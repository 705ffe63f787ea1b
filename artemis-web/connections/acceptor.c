/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/connections/acceptor.h"

#include "artemis-web/connections/listener.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    OUT_OF_FILES_PAUSE_MS = 20,
    ACCEPTS_PER_TURN = 256, /* then the thread looks whether it has to end */
};

struct acceptor {
    int listener;
    int stop; /* eventfd, readable when the thread has to end */
    acceptor_callback *callback;
    void *context;
    pthread_t id;
};

/* Accepts at most `max` pending connections. Returns false when the process has no descriptor
 * left. */
static bool accept_pending(struct acceptor *acceptor, unsigned max)
{
    for (unsigned i = 0; i < max; i++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof(address);
        int fd = accept4(acceptor->listener, (struct sockaddr *)&address, &size,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            acceptor->callback(acceptor->context, fd, (struct sockaddr *)&address, size);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return false;
        else if (errno != ECONNABORTED && errno != EINTR)
            return true;
    }
    return true;
}

static void *run(void *argument)
{
    struct acceptor *acceptor = argument;
    struct pollfd watched[] = {
        {.fd = acceptor->stop, .events = POLLIN},
        {.fd = acceptor->listener, .events = POLLIN},
    };
    /* Without descriptors the listener stays readable, so it is not polled for a moment. */
    bool have_files = true;
    for (;;) {
        int ready = poll(watched, have_files ? 2 : 1, have_files ? -1 : OUT_OF_FILES_PAUSE_MS);
        bool stopping = ready > 0 && watched[0].revents;
        have_files = accept_pending(acceptor, stopping ? LISTENER_BACKLOG + 1 : ACCEPTS_PER_TURN);
        if (stopping)
            return NULL;
    }
}

enum error acceptor_start(int listener, acceptor_callback *callback, void *context,
                          struct acceptor **out)
{
    struct acceptor *acceptor = malloc(sizeof(*acceptor));
    if (!acceptor)
        return ERR_NO_MEMORY;
    *acceptor = (struct acceptor){.listener = listener,
                                  .stop = eventfd(0, EFD_CLOEXEC),
                                  .callback = callback,
                                  .context = context};
    if (acceptor->stop < 0 || pthread_create(&acceptor->id, NULL, run, acceptor) != 0) {
        if (acceptor->stop >= 0)
            close(acceptor->stop);
        free(acceptor);
        return ERR_SYSTEM;
    }
    pthread_setname_np(acceptor->id, "acceptor");
    *out = acceptor;
    return ERR_NONE;
}

void acceptor_stop(struct acceptor *acceptor)
{
    if (!acceptor)
        return;
    eventfd_write(acceptor->stop, 1);
    pthread_join(acceptor->id, NULL);
    close(acceptor->listener);
    close(acceptor->stop);
    free(acceptor);
}
