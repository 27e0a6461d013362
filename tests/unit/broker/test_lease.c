/* SPDX-License-Identifier: MIT */
/* lease: blocks of ephemeral ports, by way of the port table that holds them. */
#include "porttab_world.h"

static uint16_t lease(pid_t pid, unsigned expected)
{
	uint16_t first, count;

	assert_int_equal(porttab_lease(w.tab, TCP, pid, &first, &count), 0);
	assert_int_equal(count, expected);
	assert_true(first >= PORTTAB_EPHEMERAL_FIRST);
	assert_true(first + count - 1 <= PORTTAB_EPHEMERAL_LAST);
	return first;
}

static void test_leases_grow_and_do_not_overlap(void **state)
{
	static bool seen[65536];
	const unsigned sizes[] = {16, 64, 256, 256};

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (pid_t pid = 1; pid <= 20; pid++) {
		for (unsigned i = 0; i < 4; i++) {
			const uint16_t first = lease(pid, sizes[i]);

			for (unsigned p = first; p < first + sizes[i]; p++) {
				assert_false(seen[p]);
				seen[p] = true;
			}
		}
	}
}

static void test_lease_errors(void **state)
{
	uint16_t first = 1, count = 2;

	(void)state;
	assert_int_equal(porttab_lease(w.tab, IPPROTO_ICMP, 1, &first, &count), -EINVAL);
	assert_int_equal(porttab_lease(w.tab, TCP, 0, &first, &count), -EINVAL);
	assert_int_equal(porttab_lease(w.tab, TCP, -1, &first, &count), -EINVAL);
	assert_int_equal(first, 1);
	assert_int_equal(count, 2);
}

static void test_lease_of_one_process_is_bounded(void **state)
{
	uint16_t first, count;
	unsigned total = 0;
	int r;

	(void)state;
	while (!(r = porttab_lease(w.tab, TCP, 1, &first, &count)))
		total += count;
	assert_int_equal(r, -EADDRNOTAVAIL);
	assert_int_equal(total, PORTTAB_LEASE_PID_MAX);
	lease(2, 16);
	assert_int_equal(porttab_lease(w.tab, UDP, 1, &first, &count), 0);
	assert_int_equal(count, 16); /* protocols are separate */
}

static void test_bind_avoids_leases_while_it_can(void **state)
{
	static bool leased[65536];
	uint16_t first, count;
	const unsigned n = PORTTAB_EPHEMERAL_LAST - PORTTAB_EPHEMERAL_FIRST + 1;

	(void)state;
	memset(leased, 0, sizeof(leased));
	for (pid_t pid = 1; !porttab_lease(w.tab, TCP, pid, &first, &count); pid++) {
		for (unsigned p = first; p < (unsigned)first + count; p++)
			leased[p] = true;
	}
	/* What is left over is not a whole run of 16; all else is leased. */
	for (unsigned i = 0; i < n % 16; i++) {
		const int port = bind_to(TCP, "10.0.0.1", 0, 0, i + 1);

		assert_true(port > 0);
		assert_false(leased[port]);
	}
	/* Now it takes a leased one rather than fail. */
	assert_true(leased[bind_to(TCP, "10.0.0.1", 0, 0, 100)]);
	/* A process that is dead holds none. */
	w.dead_pid[5] = true;
	assert_false(porttab_lease(w.tab, TCP, 3000, &first, &count));
}

static void test_explicit_bind_ignores_leases(void **state)
{
	const uint16_t first = lease(1, 16);

	(void)state;
	assert_int_equal(bind_to(TCP, "10.0.0.1", first, 0, 1), 0);
}

static void test_lease_avoids_bound_ports(void **state)
{
	(void)state;
	/* One port in each run of 16, but for the last whole one. */
	for (unsigned p = PORTTAB_EPHEMERAL_FIRST; p + 31 <= PORTTAB_EPHEMERAL_LAST; p += 16)
		assert_int_equal(bind_to(TCP, "10.0.0.1", (uint16_t)(p + 5), 0,
					 p - PORTTAB_EPHEMERAL_FIRST + 1),
			0);
	assert_int_equal(lease(1, 16), 60976);
	/* None without a bound port is left: take one with. */
	lease(2, 16);
}

static void test_leases_of_dead_processes_are_taken_back(void **state)
{
	uint16_t first, count;
	pid_t pid;

	(void)state;
	for (pid = 1; !porttab_lease(w.tab, TCP, pid, &first, &count); pid++)
		assert_int_equal(count, 16);
	assert_int_equal(pid, 1 + (PORTTAB_EPHEMERAL_LAST - PORTTAB_EPHEMERAL_FIRST + 1) / 16);
	assert_int_equal(porttab_lease(w.tab, TCP, 1, &first, &count), -EADDRNOTAVAIL);
	w.dead_pid[7] = true;
	lease(pid, 16);
	assert_int_equal(porttab_lease(w.tab, TCP, pid, &first, &count), -EADDRNOTAVAIL);
	porttab_pid_gone(w.tab, 8);
	lease(pid, 16); /* the second would be 64: less is better than none */
	porttab_pid_gone(w.tab, pid);
	lease(pid, 16); /* starts again */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_tab(test_leases_grow_and_do_not_overlap),
		with_tab(test_lease_errors),
		with_tab(test_lease_of_one_process_is_bounded),
		with_tab(test_bind_avoids_leases_while_it_can),
		with_tab(test_explicit_bind_ignores_leases),
		with_tab(test_lease_avoids_bound_ports),
		with_tab(test_leases_of_dead_processes_are_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
