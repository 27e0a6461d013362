/* SPDX-License-Identifier: MIT */
/* Log lines on standard error: "persona-broker: warning: carrier: text".
 *
 * Level by module from PERSONA_DEBUG, a comma list of MODULE:LEVEL or LEVEL (for all), for example
 * "carrier:debug,warning". Default is info. Never log a key, a payload or a secret. Thread safe:
 * one write(2) a line. */
#ifndef PERSONA_PROTO_LOG_H
#define PERSONA_PROTO_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Each .c names its module: #define LOG_MODULE "carrier" before this include. */
#ifndef LOG_MODULE
#define LOG_MODULE "main"
#endif

#define log_error(...)	 log_line(LOG_ERROR, LOG_MODULE, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, LOG_MODULE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_INFO, LOG_MODULE, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_DEBUG, LOG_MODULE, __VA_ARGS__)

/* Reads PERSONA_DEBUG; `program` must outlive the process. Call once, before threads start. */
void log_init(const char *program);
void log_line(enum log_level level, const char *module, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
