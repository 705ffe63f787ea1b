/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent of Consul for the demonstration, which is that of the tests.
 *
 *     consul_server
 *
 * Prints its url, and runs until it is killed.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/support/servers/api/consul_agent.h"

static struct consul_agent agent;

int main(void)
{
    consul_agent_init(&agent, false);
    temp_folder_remove(&agent.http.folder); /* it is empty, and a killed program removes nothing */
    consul_agent_start(&agent);
    printf("url %s\n", agent.http.url);
    fflush(stdout);
    for (;;)
        pause();
}
