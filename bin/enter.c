/* SPDX-License-Identifier: MIT */
#include "enter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "text.h"

/* The program's words for `persona status`: cut short, and clean UTF-8 as JSON wants it. */
static json_t *command_words(char **command)
{
	json_t *array = json_array();
	char word[ENTER_WORD_MAX];

	for (size_t i = 0; i < ENTER_COMMAND_MAX && command[i]; i++) {
		json_t *item;

		snprintf(word, sizeof(word), "%s", command[i]);
		item = json_string(word);
		for (char *p = word; !item && *p; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
		json_array_append_new(array, item ? item : json_string(word));
	}
	return array;
}

static json_t *enter_request(const char *name, enum run_seal seal, char **command)
{
	json_t *request = json_pack("{s:s, s:s, s:o}", "op", "enter", "seal", run_seal_name(seal),
		"command", command_words(command));

	if (!request)
		return NULL;
	if (name)
		json_object_set_new(request, "name", json_string(name));
	else
		json_object_set_new(request, "new", json_true());
	return request;
}

static int bad_reply(struct fail *failp)
{
	return fail_set(failp, -EPROTO, "are the tools and the broker of the same version?",
		"the broker's answer to `enter` makes no sense");
}

static int take_reply(const json_t *reply, struct enter *enterp, struct fail *failp)
{
	const char *name = client_str(json_object_get(reply, "portspace"), "name");
	const char *dir = client_str(reply, "dir");

	if (!name[0] || strlen(name) >= sizeof(enterp->name) || dir[0] != '/' ||
		strlen(dir) >= sizeof(enterp->dir))
		return bad_reply(failp);
	snprintf(enterp->name, sizeof(enterp->name), "%s", name);
	snprintf(enterp->dir, sizeof(enterp->dir), "%s", dir);
	return 0;
}

static int add_addresses(const struct run_args *args, json_t *array, struct fail *failp)
{
	for (size_t i = 0; i < args->naddress; i++)
		if (text_split_list(args->address[i], array) < 0)
			return fail_set(failp, -EINVAL, "write 10.77.0.1 or 10.77.0.1/24",
				"'%s' is no list of addresses", args->address[i]);
	return 0;
}

/* Does the portspace have each of these addresses? Prefix lengths are not compared. */
static bool has_addresses(const json_t *portspace, const json_t *wanted)
{
	const json_t *own = json_object_get(portspace, "addresses");
	struct prefix want, have;
	size_t i, k;
	json_t *w, *h;

	json_array_foreach(wanted, i, w)
	{
		bool found = false;

		if (prefix_parse(json_string_value(w), &want) < 0)
			return false;
		json_array_foreach(own, k, h) if (json_is_string(h) &&
						  prefix_parse(json_string_value(h), &have) == 0 &&
						  addr_equal(&want.addr, &have.addr)) found = true;
		if (!found)
			return false;
	}
	return true;
}

/* --address with a name: makes the portspace unless it exists. */
static int ensure(struct client *c, const char *name, json_t *addresses, struct fail *failp)
{
	json_t *reply = NULL;
	int r = client_call(c,
		json_pack("{s:s, s:s, s:O}", "op", "create", "name", name, "addresses", addresses),
		&reply, failp);

	json_decref(reply);
	if (r == -EREMOTEIO && strcmp(failp->code, "EEXIST") == 0)
		return 0;
	return r;
}

int enter_first(
	struct client *c, const struct run_args *args, struct enter *enterp, struct fail *failp)
{
	json_t *addresses = json_array(), *request, *reply = NULL;
	int r = add_addresses(args, addresses, failp);

	enterp->seal = args->seal;
	enterp->command = args->command;
	if (r == 0 && args->name && args->naddress)
		r = ensure(c, args->name, addresses, failp);
	if (r == 0) {
		request = enter_request(args->name, args->seal, args->command);
		if (request && !args->name && args->naddress)
			json_object_set(request, "addresses", addresses);
		r = client_call(c, request, &reply, failp);
	}
	if (r == 0 && args->name && !has_addresses(json_object_get(reply, "portspace"), addresses))
		r = fail_set(failp, -EEXIST, "leave --address away, or choose another name",
			"the portspace %s exists, but with other addresses", args->name);
	if (r == 0)
		r = take_reply(reply, enterp, failp);
	json_decref(reply);
	json_decref(addresses);
	return r;
}

int enter_again(struct client *c, const struct enter *enter, struct fail *failp)
{
	struct enter now;
	json_t *reply = NULL;
	int r = client_call(
		c, enter_request(enter->name, enter->seal, enter->command), &reply, failp);

	if (r == -EREMOTEIO)
		return strcmp(failp->code, "ENOENT") == 0 ? -ESTALE : r;
	if (r == 0)
		r = take_reply(reply, &now, failp);
	json_decref(reply);
	return r == 0 && strcmp(now.dir, enter->dir) != 0 ? -ESTALE : r;
}
