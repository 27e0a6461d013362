/* SPDX-License-Identifier: MIT */
/* Small pieces of configuration text, for the parser (config_parse.c). No I/O, no state. */
#ifndef PERSONA_BROKER_CONFIG_WORD_H
#define PERSONA_BROKER_CONFIG_WORD_H

/* White space inside a line. */
extern const char config_space[];

/* The next item of *sp, separated by any of `delims` and trimmed in place; NULL at the end. */
char *config_next_item(char **sp, const char *delims);
/* A foreign text as errors may show it: not when something in it looks like a key in the wrong
 * place. */
const char *config_show(const char *text);
/* A decimal number of digits only, at most `max`. 0 or -EINVAL. */
int config_parse_number(const char *s, unsigned long max, unsigned long *np);

#endif
