/* SPDX-License-Identifier: Apache-2.0
 *
 * command_reference - prints what the documentation takes from the tables in the code, as Markdown:
 * `artemis api reference`, `artemis error reference`, `artemis metrics reference`.
 *
 * `make docs` puts them into docs/, and `make lint` fails when they differ. Not listed in the help:
 * they are for the house, and for whoever wants the truth of the binary at hand.
 */
#pragma once

int command_api(int argc, char **argv);
int command_error(int argc, char **argv);
int command_metrics(int argc, char **argv);
