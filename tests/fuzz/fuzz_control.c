/* SPDX-License-Identifier: MIT */
/* Lines of the control protocol: parsed, permitted, checked and prepared against a core with one
 * portspace and one link, for an outsider and for a member. Nothing is stored and nothing applied:
 * what would be written is only checked to be readable again. The first byte's lowest bit chooses
 * who asks. */
#include <errno.h>
#include <sodium.h>
#include <unistd.h>

#include "fuzz.h"
#include "ops.h"

static struct core *core;
static struct portspace *ps;
static char top[] = "/tmp/persona-fuzz-XXXXXX";

static void clean_up(void)
{
	char path[64];

	core_free(core); /* removes the portspace's directory */
	snprintf(path, sizeof(path), "%s/ps", top);
	rmdir(path);
	rmdir(top);
}

static void set_up(void)
{
	static const char text[] = "[Interface]\n"
				   "PrivateKey = aGVsbG9oZWxsb2hlbGxvaGVsbG9oZWxsb2hlbGxvaGU=\n"
				   "Address = 10.77.0.1/24\n"
				   "[Peer]\n"
				   "PublicKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
				   "AllowedIPs = 10.77.0.2/32\n";
	struct core_config cc = {.runtime_dir = top, .config_dir = "/nonexistent", .nworkers = 1};
	struct config *config;

	FUZZ_CHECK(sodium_init() >= 0);
	jsonio_init();
	FUZZ_CHECK(mkdtemp(top));
	FUZZ_CHECK(!core_new(&cc, &core));
	FUZZ_CHECK(!config_parse(text, sizeof(text) - 1, &config, NULL));
	FUZZ_CHECK(!link_name_peers(config));
	FUZZ_CHECK(!portspace_add(core, "work", config, false, NULL, &ps));
	atexit(clean_up);
}

/* A reply is one line; a refusal names an errno and a cause. */
static void check_reply(json_t *reply)
{
	json_t *error = json_object_get(reply, "error");
	size_t len;
	char *text;

	FUZZ_CHECK(json_is_boolean(json_object_get(reply, "ok")));
	FUZZ_CHECK(json_is_true(json_object_get(reply, "ok")) == !error);
	if (error) {
		FUZZ_CHECK(json_string_value(json_object_get(error, "code"))[0] == 'E');
		FUZZ_CHECK(json_string_length(json_object_get(error, "message")) > 0);
	}
	text = jsonio_format(reply, 1 << 24, &len);
	FUZZ_CHECK(text && memchr(text, '\n', len) == text + len - 1);
	jsonio_free_text(text, len);
}

/* What a change would store can be loaded again. */
static void check_pending(const struct ops_request *rq)
{
	struct config *again;

	FUZZ_CHECK(ops_writes(rq));
	FUZZ_CHECK(config_name_valid(rq->name));
	if (rq->file == OPS_REMOVE)
		return;
	FUZZ_CHECK(!config_parse(rq->text, rq->text_len, &again, NULL));
	config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct status_broker status;
	struct ops ops = {.broker = &status};
	struct ops_caller caller = {0};
	struct jsonio_error err = {0};
	struct ops_request *rq;
	json_t *reply;

	if (!core)
		set_up();
	if (size == 0)
		return 0;
	ops.core = core;
	rq = ops_parse((const char *)data + 1, size - 1, &err);
	if (!rq) {
		FUZZ_CHECK(err.code > 0 && err.message[0]);
		reply = jsonio_refusal(&err);
		check_reply(reply);
		json_decref(reply);
		return 0;
	}
	caller.member = data[0] & 1 ? ps : NULL;
	/* `enter` needs a real process. */
	if (json_object_get(rq->root, "seal") && !caller.member) {
		ops_request_free(rq);
		return 0;
	}
	reply = ops_start(&ops, rq, &caller);
	FUZZ_CHECK(!reply == ops_pending(rq));
	if (reply)
		check_reply(reply);
	else
		check_pending(rq);
	FUZZ_CHECK(!caller.member || !ops_pending(rq)); /* members change nothing */
	ps->priv->leaving = false;
	json_decref(reply);
	ops_request_free(rq);
	FUZZ_CHECK(core_find(core, "work") == ps && core_count(core) == 1);
	return 0;
}
