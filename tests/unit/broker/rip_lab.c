/* SPDX-License-Identifier: MIT */
/* A laboratory for RIP. See rip_lab.h. */
#include "rip_lab.h"

#include <stdlib.h>
#include <string.h>

struct lab lab;

uint32_t random_below(uint32_t n)
{
	lab.seed ^= lab.seed << 13; /* xorshift64 (Marsaglia, 2003) */
	lab.seed ^= lab.seed >> 7;
	lab.seed ^= lab.seed << 17;
	return (uint32_t)(lab.seed >> 32) % n;
}

/* --- addresses --- */

struct addr address(enum rip_version version, unsigned number)
{
	if (version == RIP_V2)
		return (struct addr){.b = {[10] = 0xff, 0xff, 10, 0, (uint8_t)number, 1}};
	return (struct addr){.b = {0xfd, 0x77, [14] = (uint8_t)number, 1}};
}

struct addr link_local(unsigned number)
{
	return (struct addr){.b = {0xfe, 0x80, [8] = 2, [14] = (uint8_t)number, 1}};
}

struct prefix host(enum rip_version version, unsigned number)
{
	return (struct prefix){.addr = address(version, number), .len = 128};
}

/* --- the wire --- */

static bool later(const struct packet *a, const struct packet *b)
{
	return a->at != b->at ? a->at > b->at : a->order > b->order;
}

static void heap_push(struct packet *p)
{
	size_t i = lab.nheap++;

	if (lab.nheap > lab.heap_max) {
		lab.heap_max = lab.nheap * 2;
		lab.heap = realloc(lab.heap, lab.heap_max * sizeof(lab.heap[0]));
		assert_non_null(lab.heap);
	}
	for (; i && later(lab.heap[(i - 1) / 2], p); i = (i - 1) / 2)
		lab.heap[i] = lab.heap[(i - 1) / 2];
	lab.heap[i] = p;
}

static struct packet *heap_pop(void)
{
	struct packet *top = lab.heap[0], *last = lab.heap[--lab.nheap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < lab.nheap) {
		if (child + 1 < lab.nheap && later(lab.heap[child], lab.heap[child + 1]))
			child++;
		if (!later(last, lab.heap[child]))
			break;
		lab.heap[i] = lab.heap[child];
		i = child;
	}
	lab.heap[i] = last;
	return top;
}

static uint32_t sum(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t put_ip(uint8_t *to, const struct packet *p, size_t udp_len)
{
	struct buf_wr wr;

	buf_wr_init(&wr, to, 40);
	if (p->version == RIP_V2) {
		buf_put_u16(&wr, 0x4500);
		buf_put_u16(&wr, (uint16_t)(20 + udp_len));
		buf_put_u32(&wr, 0);
		buf_put_u8(&wr, p->ttl);
		buf_put_u8(&wr, 17);
		buf_put_u16(&wr, 0);
		buf_put_bytes(&wr, p->src.addr.b + 12, 4);
		buf_put_bytes(&wr, p->dst.b + 12, 4);
		to[10] = (uint8_t)(fold(sum(0, to, 20)) >> 8);
		to[11] = (uint8_t)fold(sum(0, to, 10) + sum(0, to + 12, 8));
		return wr.len;
	}
	buf_put_u32(&wr, 0x60000000);
	buf_put_u16(&wr, (uint16_t)udp_len);
	buf_put_u8(&wr, 17);
	buf_put_u8(&wr, p->ttl);
	buf_put_bytes(&wr, p->src.addr.b, 16);
	buf_put_bytes(&wr, p->dst.b, 16);
	return wr.len;
}

static void capture(const struct packet *p)
{
	const size_t udp_len = 8 + p->len;
	uint8_t data[1600];
	struct buf_wr wr;
	uint32_t record[4] = {(uint32_t)(lab.now / SECOND), (uint32_t)(lab.now % SECOND / 1000)};
	uint32_t pseudo;
	size_t ip;

	if (!lab.pcap)
		return;
	ip = put_ip(data, p, udp_len);
	buf_wr_init(&wr, data + ip, sizeof(data) - ip);
	buf_put_u16(&wr, p->src.port);
	buf_put_u16(&wr, p->src.port);
	buf_put_u16(&wr, (uint16_t)udp_len);
	buf_put_u16(&wr, 0);
	buf_put_bytes(&wr, p->data, p->len);
	pseudo = p->version == RIP_V2 ? sum(0, data + 12, 8) : sum(0, data + 8, 32);
	pseudo = fold(sum(pseudo + 17 + (uint32_t)udp_len, data + ip, udp_len));
	data[ip + 6] = (uint8_t)(pseudo >> 8);
	data[ip + 7] = (uint8_t)pseudo;
	record[2] = record[3] = (uint32_t)(ip + udp_len);
	fwrite(record, sizeof(record), 1, lab.pcap);
	fwrite(data, ip + udp_len, 1, lab.pcap);
}

static void send_packet(void *arg, void *link, const struct rip_out *out, uint8_t *data, size_t len)
{
	const struct node *from = arg;
	struct side *side = link;
	struct packet *p;

	lab.packets++;
	assert_true(len <= (out->version == RIP_V2 ? 504 : 1420 - 48));
	memset(data - RIP_HEADROOM, 0xee, RIP_HEADROOM); /* it is ours to overwrite */
	memset(data + len, 0xee, RIP_TAILROOM);
	if (side->cable->cut || random_below(100) < lab.loss)
		return;
	p = malloc(sizeof(*p));
	assert_non_null(p);
	*p = (struct packet){.at = lab.now + (1 + random_below(20)) * (SECOND / 1000),
		.order = lab.order++,
		.to = &side->cable->side[!side->end],
		.version = out->version,
		.src = {out->version == RIP_V2 ? address(RIP_V2, from->number)
					       : link_local(from->number),
			out->version == RIP_V2 ? RIP_V2_PORT : RIP_NG_PORT},
		.dst = out->dst.addr,
		.ttl = out->ttl ? out->ttl : 64,
		.len = len};
	memcpy(p->data, data, len);
	capture(p);
	heap_push(p);
}

/* The number of the node whose address this is; NODES_MAX when it is none's. */
static unsigned number_of(const struct prefix *prefix)
{
	for (unsigned i = 0; i < lab.n; i++)
		for (enum rip_version v = RIP_V2; v <= RIP_NG; v++) {
			const struct prefix p = host(v, i);

			if (prefix->len == 128 && addr_equal(&p.addr, &prefix->addr))
				return i;
		}
	return NODES_MAX;
}

enum rip_version version_of(const struct prefix *prefix)
{
	return addr_is_v4(&prefix->addr) ? RIP_V2 : RIP_NG;
}

static void learned(void *arg, void *link, const struct prefix *prefix, const struct addr *next_hop,
	uint8_t metric, uint16_t tag)
{
	struct node *node = arg;
	const unsigned number = number_of(prefix);

	(void)next_hop;
	(void)tag;
	assert_in_range(metric, 2, RIP_INFINITY - 1);
	assert_int_not_equal(number, node->number);
	if (number == NODES_MAX)
		node->foreign++;
	else
		node->learned[version_of(prefix)][number].over = ((struct side *)link)->cable;
}

static void withdraw(void *arg, const struct prefix *prefix)
{
	struct node *node = arg;
	const unsigned number = number_of(prefix);

	if (number < NODES_MAX)
		node->learned[version_of(prefix)][number].over = NULL;
}

static void silent(void *arg, void *link, bool is)
{
	struct side *side = link;

	(void)arg;
	assert_int_not_equal(side->silent, is);
	side->silent = is;
}

static uint64_t heard(void *arg, void *link)
{
	(void)arg;
	return ((struct side *)link)->heard;
}

static uint32_t rip_dice(void *arg, uint32_t n)
{
	(void)arg;
	return random_below(n);
}

/* --- building --- */

void set_locals(struct node *node)
{
	struct rip_local locals[2 + 2 * DEGREE_MAX];
	size_t n = 0;

	for (enum rip_version v = RIP_V2; v <= RIP_NG; v++)
		locals[n++] = (struct rip_local){.prefix = host(v, node->number), .metric = 1};
	for (unsigned i = 0; lab.links_announced && i < node->degree; i++) {
		struct cable *cable = node->cables[i];
		const int end = cable->node[1] == node;

		for (enum rip_version v = RIP_V2; v <= RIP_NG && !cable->pulled; v++)
			locals[n++] =
				(struct rip_local){.prefix = host(v, cable->node[!end]->number),
					.link = cable->link[end],
					.metric = 2};
	}
	assert_int_equal(rip_set_locals(node->rip, locals, n, lab.now), 0);
	node->deadline = rip_deadline(node->rip);
}

void boot(struct node *node)
{
	static const struct prefix networks[] = {
		{{{[10] = 0xff, 0xff, 10}}, 104}, {{{0xfd, 0x77}}, 16}};
	const struct rip_ops ops = {.send = send_packet,
		.route = learned,
		.withdraw = withdraw,
		.silent = silent,
		.heard = heard,
		.random = rip_dice,
		.arg = node};
	const struct addr own[] = {address(RIP_V2, node->number), address(RIP_NG, node->number)};
	const struct rip_config config = {.update_ns = UPDATE,
		.networks = networks,
		.nnetworks = 2,
		.own = own,
		.nown = 2,
		.link_local = link_local(node->number),
		.v2 = true,
		.ng = true};

	node->dead = false;
	assert_int_equal(rip_new(&ops, &config, lab.now, &node->rip), 0);
}

void lab_nodes(unsigned n)
{
	lab.n = n;
	for (unsigned i = 0; i < n; i++) {
		lab.nodes[i].number = i;
		boot(&lab.nodes[i]);
	}
}

void plug(struct cable *cable, int end)
{
	cable->side[end] = (struct side){.cable = cable, .end = end};
	assert_int_equal(rip_link_add(cable->node[end]->rip, &cable->side[end], 1420, lab.now,
				 &cable->link[end]),
		0);
}

struct cable *join(unsigned a, unsigned b)
{
	struct cable *cable = &lab.cables[lab.ncables++];

	assert_true(lab.ncables <= CABLES_MAX);
	*cable = (struct cable){.node = {&lab.nodes[a], &lab.nodes[b]}};
	for (int end = 0; end < 2; end++) {
		struct node *node = cable->node[end];

		assert_true(node->degree < DEGREE_MAX);
		node->cables[node->degree++] = cable;
		plug(cable, end);
	}
	return cable;
}

void start(void)
{
	for (unsigned i = 0; i < lab.n; i++)
		set_locals(&lab.nodes[i]);
}

/* Both ends see it. */
void pull(struct cable *cable)
{
	cable->cut = cable->pulled = true;
	for (int end = 0; end < 2; end++) {
		rip_link_remove(cable->node[end]->rip, cable->link[end], lab.now);
		cable->link[end] = NULL;
		set_locals(cable->node[end]);
	}
}

void kill_node(struct node *node)
{
	node->dead = true;
	for (unsigned i = 0; i < node->degree; i++)
		node->cables[i]->cut = true;
	rip_free(node->rip);
	node->rip = NULL;
	node->deadline = UINT64_MAX;
}

/* --- running --- */

static void deliver(struct packet *p)
{
	struct side *to = p->to;
	struct node *node = to->cable->node[to->end];

	if (!to->cable->cut && !node->dead) {
		to->heard = lab.now;
		assert_int_equal(rip_input(node->rip, to->cable->link[to->end], p->version, &p->src,
					 &p->dst, p->ttl, p->data, p->len, lab.now),
			0);
		node->deadline = rip_deadline(node->rip);
	}
	free(p);
}

void run_until(uint64_t end)
{
	for (;;) {
		struct node *first = NULL;
		uint64_t at = lab.nheap ? lab.heap[0]->at : UINT64_MAX;

		for (unsigned i = 0; i < lab.n; i++)
			if (lab.nodes[i].deadline < at) {
				first = &lab.nodes[i];
				at = first->deadline;
			}
		if (at > end)
			break;
		lab.now = at > lab.now ? at : lab.now;
		if (first)
			first->deadline = rip_tick(first->rip, lab.now);
		else
			deliver(heap_pop());
	}
	lab.now = end;
}

/* --- judging --- */

/* Hops from one node to all over cables that carry, UINT_MAX without a way. */
static void distances(unsigned from, unsigned *hops)
{
	unsigned queue[NODES_MAX], head = 0, tail = 0;

	for (unsigned i = 0; i < lab.n; i++)
		hops[i] = UINT32_MAX;
	hops[from] = 0;
	queue[tail++] = from;
	while (head < tail) {
		const struct node *node = &lab.nodes[queue[head++]];

		for (unsigned i = 0; i < node->degree; i++) {
			const struct cable *cable = node->cables[i];
			const unsigned other = cable->node[cable->node[0] == node]->number;

			if (cable->cut || hops[other] != UINT32_MAX)
				continue;
			hops[other] = hops[node->number] + 1;
			queue[tail++] = other;
		}
	}
}

/* Is the metric what the distance says, and does the route lead to one that is nearer? */
static bool right(const struct node *node, enum rip_version v, unsigned to, const unsigned *hops)
{
	const struct prefix prefix = host(v, to);
	const uint8_t metric = rip_metric(node->rip, &prefix);
	const unsigned far = hops[node->number];
	const struct cable *over = node->learned[v][to].over;

	if (far > REACH)
		return metric == RIP_INFINITY && !over;
	if (metric != far + 1)
		return false;
	if (far == 0 || (far == 1 && lab.links_announced))
		return true;
	return over && !over->cut && hops[over->node[over->node[0] == node]->number] == far - 1;
}

bool converged(void)
{
	unsigned hops[NODES_MAX];

	for (unsigned to = 0; to < lab.n; to++) {
		distances(to, hops);
		for (unsigned i = 0; i < lab.n; i++)
			for (enum rip_version v = RIP_V2; v <= RIP_NG; v++)
				if (!lab.nodes[i].dead && !right(&lab.nodes[i], v, to, hops))
					return false;
	}
	return true;
}

/* Seconds of virtual time until all is right; fails after `max`. */
void settle(const char *what, unsigned max)
{
	const uint64_t begin = lab.now;

	while (!converged()) {
		if (lab.now - begin > max * SECOND)
			fail_msg("%s: not converged after %u s", what, max);
		run_until(lab.now + SECOND / 10);
	}
	print_message("# %s: %u portspaces, %u links: %.1f s\n", what, lab.n, lab.ncables,
		(double)(lab.now - begin) / (double)SECOND);
}

int lab_setup(void **state)
{
	(void)state;
	memset(&lab, 0, sizeof(lab));
	lab.seed = 88172645463325252;
	lab.now = 1000 * SECOND;
	return 0;
}

int lab_teardown(void **state)
{
	(void)state;
	while (lab.nheap)
		free(heap_pop());
	free(lab.heap);
	for (unsigned i = 0; i < lab.n; i++)
		rip_free(lab.nodes[i].rip);
	return 0;
}
