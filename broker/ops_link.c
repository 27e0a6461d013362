/* SPDX-License-Identifier: MIT */
/* Operations on links (ops.h). */
#include "ops.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int no_memory(struct jsonio_error *err)
{
	return jsonio_fail(err, ENOMEM, NULL, "the broker is out of memory");
}

int ops_link_list(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	struct portspace *ps;
	const char *name;

	(void)caller;
	if (jsonio_unpack(rq->root, err, "{s:s}", "name", &name) < 0)
		return -EINVAL;
	ps = ops_find(ops, name, err);
	return ps ? ops_put(reply, "links", status_links(ps, true), err) : -ENOENT;
}

static int add_allowed(const char *s, void *arg, struct jsonio_error *err)
{
	struct prefix prefix;
	int r;

	if (prefix_parse(s, &prefix) < 0)
		return jsonio_fail(err, EINVAL, "write it as 10.77.0.2/32 or fd00::/64",
			"\"%.64s\" in the allowed addresses is not a prefix", s);
	r = config_add_allowed(arg, &prefix);
	if (r == -ENOSPC)
		return jsonio_fail(err, EINVAL, "give shorter prefixes that cover them",
			"a link has at most %d allowed prefixes", LINK_PREFIXES_MAX);
	return r < 0 ? no_memory(err) : 0;
}

struct link_args {
	const char *name, *peer, *endpoint, *psk, *link_name;
	json_t *allowed;
	json_int_t keepalive;
};

static int set_psk(struct config_peer *peer, const char *text, struct jsonio_error *err)
{
	peer->psk = key_new();
	if (!peer->psk)
		return no_memory(err);
	if (key_parse(text, peer->psk) < 0)
		return jsonio_fail(err, EINVAL, "\"wg genpsk\" makes one",
			"the pre-shared key is not 32 bytes in base64");
	return 0;
}

static int fill_peer(
	struct config_peer *peer, const struct link_args *args, struct jsonio_error *err)
{
	if (args->keepalive < 0 || args->keepalive > 65535)
		return jsonio_fail(err, EINVAL, NULL, "the keepalive is not in 0 to 65535 s");
	peer->keepalive_s = (uint16_t)args->keepalive;
	if (args->endpoint && config_endpoint_split(args->endpoint, NULL, NULL) < 0)
		return jsonio_fail(err, EINVAL, "write it as host.example:51821 or [fd00::1]:51821",
			"\"%.64s\" is not an endpoint", args->endpoint);
	if (args->endpoint)
		snprintf(peer->endpoint, sizeof(peer->endpoint), "%s", args->endpoint);
	if (args->link_name && !config_link_name_valid(args->link_name))
		return jsonio_fail(err, EINVAL, "use 1 to 15 letters and digits, not \"lo\"",
			"\"%.32s\" cannot be a link's name", args->link_name);
	if (args->link_name)
		snprintf(peer->name, sizeof(peer->name), "%s", args->link_name);
	if (args->psk && set_psk(peer, args->psk, err) < 0)
		return -err->code;
	return ops_each_string(args->allowed, "allowed_ips", add_allowed, peer, err);
}

/* A prefix can lead to one link only. */
static int check_free(
	struct portspace *ps, const struct config_peer *peer, struct jsonio_error *err)
{
	char text[PREFIX_STRLEN];

	for (size_t i = 0; i < peer->nallowed; i++) {
		const struct link *other = core_link_of_prefix(ps, &peer->allowed[i]);

		if (other)
			return jsonio_fail(err, EEXIST,
				"remove it there first, or give a longer prefix here",
				"%s leads to link \"%s\" already",
				prefix_format(&peer->allowed[i], text), other->name);
	}
	return 0;
}

int ops_link_add(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	struct link_args args = {0};
	struct config_peer *peer;
	struct portspace *ps;
	int r;

	(void)caller;
	(void)reply;
	r = jsonio_unpack(rq->root, err, "{s:s, s:s, s:o, s?s, s?s, s?s, s?I}", "name", &args.name,
		"peer", &args.peer, "allowed_ips", &args.allowed, "endpoint", &args.endpoint,
		"preshared_key", &args.psk, "link_name", &args.link_name, "keepalive",
		&args.keepalive);
	if (r < 0)
		return r;
	ps = ops_find(ops, args.name, err);
	if (!ps)
		return -ENOENT;
	if (key_parse(args.peer, &rq->peer) < 0)
		return jsonio_fail(err, EINVAL,
			"\"persona pubkey NAME\" on the other host shows it",
			"the peer's public key is not 32 bytes in base64");
	if (key_equal(&rq->peer, &ps->public_key))
		return jsonio_fail(err, EINVAL, "give the public key of the other portspace",
			"the peer's public key is this portspace's own");
	if (link_find(ps, args.peer))
		return jsonio_fail(err, EEXIST, "remove that link first",
			"portspace \"%s\" has a link to this peer already", args.name);
	if (args.link_name && link_find(ps, args.link_name))
		return jsonio_fail(err, EEXIST, "choose another name",
			"portspace \"%s\" has a link \"%.32s\" already", args.name, args.link_name);
	rq->config = portspace_config(ps);
	if (!rq->config)
		return no_memory(err);
	r = config_add_peer(rq->config, &rq->peer, &peer);
	if (r == -ENOSPC)
		return jsonio_fail(err, ENOSPC, "remove links that are not used",
			"portspace \"%s\" has %d links", args.name, CONFIG_PEERS_MAX);
	r = r < 0 ? no_memory(err) : fill_peer(peer, &args, err);
	if (r == 0)
		r = check_free(ps, peer, err);
	if (r < 0)
		return r;
	rq->ps = portspace_ref(ps);
	return ops_prepare(ops, rq, ps->info.name, !ps->ephemeral, err);
}

int ops_link_add_finish(
	struct ops *ops, struct ops_request *rq, json_t *reply, struct jsonio_error *err)
{
	struct link *link;
	int r;

	(void)ops;
	r = link_add(rq->ps, config_find_peer(rq->config, &rq->peer), &link);
	if (r < 0)
		return jsonio_fail(err, -r, "restart the broker: the link is stored",
			"the link cannot be made: %s", strerror(-r));
	portspace_set_config(rq->ps, rq->config);
	rq->config = NULL;
	r = ops_save_unnamed(rq->ps, err);
	return r < 0 ? r : ops_put(reply, "link", status_link(link, true), err);
}

int ops_link_remove(struct ops *ops, struct ops_request *rq, struct ops_caller *caller,
	json_t *reply, struct jsonio_error *err)
{
	const char *name, *text;
	struct portspace *ps;
	struct link *link;

	(void)caller;
	(void)reply;
	if (jsonio_unpack(rq->root, err, "{s:s, s:s}", "name", &name, "link", &text) < 0)
		return -EINVAL;
	ps = ops_find(ops, name, err);
	if (!ps)
		return -ENOENT;
	link = link_find(ps, text);
	if (!link)
		return jsonio_fail(err, ENOENT, "\"persona link list\" shows them",
			"portspace \"%s\" has no link \"%.64s\"", name, text);
	rq->config = portspace_config(ps);
	if (!rq->config)
		return no_memory(err);
	rq->peer = link->peer;
	config_remove_peer(rq->config, config_find_peer(rq->config, &link->peer));
	rq->ps = portspace_ref(ps);
	return ops_prepare(ops, rq, ps->info.name, !ps->ephemeral, err);
}

int ops_link_remove_finish(
	struct ops *ops, struct ops_request *rq, json_t *reply, struct jsonio_error *err)
{
	char text[KEY_STRLEN];
	struct link *link = link_find(rq->ps, key_format(&rq->peer, text));

	(void)ops;
	(void)reply;
	if (link)
		link_remove(link);
	portspace_set_config(rq->ps, rq->config);
	rq->config = NULL;
	return ops_save_unnamed(rq->ps, err);
}
