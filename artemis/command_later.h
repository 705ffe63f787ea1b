/* SPDX-License-Identifier: Apache-2.0
 *
 * command_later - commands that are promised and not yet there: watch.
 *
 * Each says so in a sentence, with what to use meanwhile, and ends with CLIENT_USAGE: to call it is
 * a mistake in the command line, which trying again does not mend. Each has --help.
 */
#pragma once

int command_watch(int argc, char **argv);
