/* SPDX-License-Identifier: Apache-2.0
 *
 * A switch that delays and drops frames: a frame that arrives at one interface leaves at all others
 * after DELAY-MS; LOSS-PERCENT of the frames are dropped. Runs until it is killed.
 *
 *     wire DELAY-MS LOSS-PERCENT INTERFACE INTERFACE...
 *
 * chaos.sh uses it instead of the bridge because many kernels lack netem. Frames keep the virtio
 * header, which describes the work that the sender's kernel left to its network card: checksums and
 * segmentation.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PORTS_MAX = 16,
    FRAME_BYTES_MAX = 80 * 1024, /* before segmentation: 64 KiB and headers */
    FRAMES_MAX = 65536,          /* in transit; further frames are dropped */
};

struct frame {
    uint64_t due_ms;
    int from;
    size_t size;
    unsigned char *bytes;
};

struct wire {
    uint64_t delay_ms;
    uint64_t loss_percent;
    uint64_t random;
    struct pollfd ports[PORTS_MAX];
    int port_count;
    struct frame frames[FRAMES_MAX]; /* a ring: the delay is the same for all */
    size_t first, count;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static _Noreturn void fail(const char *subject)
{
    perror(subject);
    exit(1);
}

static int open_port(const char *name)
{
    int on = 1;
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    address.sll_ifindex = (int)if_nametoindex(name);
    if (!address.sll_ifindex)
        fail(name);
    int port = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    if (port < 0 || setsockopt(port, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
        bind(port, (struct sockaddr *)&address, sizeof(address)))
        fail(name);
    return port;
}

/* xorshift64*: the same in each run. */
static bool is_lost(struct wire *wire)
{
    wire->random ^= wire->random >> 12;
    wire->random ^= wire->random << 25;
    wire->random ^= wire->random >> 27;
    return (wire->random * 0x2545F4914F6CDD1D >> 32) % 100 < wire->loss_percent;
}

static void enqueue(struct wire *wire, int from, const unsigned char *bytes, size_t size)
{
    if (is_lost(wire) || wire->count == FRAMES_MAX)
        return;
    struct frame *frame = &wire->frames[(wire->first + wire->count) % FRAMES_MAX];
    *frame = (struct frame){.due_ms = now_ms() + wire->delay_ms, .from = from, .size = size};
    frame->bytes = malloc(size);
    if (!frame->bytes)
        fail("wire");
    memcpy(frame->bytes, bytes, size);
    wire->count++;
}

static void receive_from(struct wire *wire, int from)
{
    static unsigned char bytes[FRAME_BYTES_MAX];
    for (;;) {
        struct sockaddr_ll sender;
        socklen_t sender_size = sizeof(sender);
        ssize_t size = recvfrom(wire->ports[from].fd, bytes, sizeof(bytes), 0,
                                (struct sockaddr *)&sender, &sender_size);
        if (size < 0)
            return;
        if (sender.sll_pkttype != PACKET_OUTGOING) /* our own frames */
            enqueue(wire, from, bytes, (size_t)size);
    }
}

static void deliver_due(struct wire *wire)
{
    while (wire->count && wire->frames[wire->first].due_ms <= now_ms()) {
        struct frame *frame = &wire->frames[wire->first];
        for (int i = 0; i < wire->port_count; i++)
            if (i != frame->from && send(wire->ports[i].fd, frame->bytes, frame->size, 0) < 0)
                continue; /* a failed send is a lost frame */
        free(frame->bytes);
        wire->first = (wire->first + 1) % FRAMES_MAX;
        wire->count--;
    }
}

static int wait_ms(const struct wire *wire)
{
    if (!wire->count)
        return -1;
    uint64_t due_ms = wire->frames[wire->first].due_ms;
    uint64_t now = now_ms();
    return due_ms > now ? (int)(due_ms - now) : 0;
}

int main(int argc, char **argv)
{
    static struct wire wire;
    if (argc < 5 || argc - 3 > PORTS_MAX) {
        fprintf(stderr, "usage: wire DELAY-MS LOSS-PERCENT INTERFACE INTERFACE...\n");
        return 2;
    }
    wire.delay_ms = strtoul(argv[1], NULL, 10);
    wire.loss_percent = strtoul(argv[2], NULL, 10);
    wire.random = 1;
    wire.port_count = argc - 3;
    for (int i = 0; i < wire.port_count; i++)
        wire.ports[i] = (struct pollfd){.fd = open_port(argv[3 + i]), .events = POLLIN};
    while (poll(wire.ports, (nfds_t)wire.port_count, wait_ms(&wire)) >= 0) {
        for (int i = 0; i < wire.port_count; i++)
            if (wire.ports[i].revents)
                receive_from(&wire, i);
        deliver_due(&wire);
    }
    fail("wire");
}
