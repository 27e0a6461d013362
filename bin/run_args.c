/* SPDX-License-Identifier: MIT */
#include "run_args.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

const char *run_seal_name(enum run_seal seal)
{
	return seal == RUN_SEAL_SHIM ? "shim" : "sealed";
}

static int usage(struct fail *failp, const char *message, const char *detail)
{
	return fail_set(
		failp, -EINVAL, "persona-run --help shows examples", "%s%s", message, detail);
}

static int parse_seal(const char *s, struct run_args *a, struct fail *failp)
{
	if (strcmp(s, "shim") == 0)
		a->seal = RUN_SEAL_SHIM;
	else if (strcmp(s, "sealed") == 0)
		a->seal = RUN_SEAL_SEALED;
	else
		return usage(failp, "--seal is shim or sealed, not ", s);
	return 0;
}

struct scan {
	int argc;
	char **argv;
	bool new;
	bool dashes; /* "--" ended the options */
};

/* Options up to the first other word or "--". */
static int scan_options(struct scan *s, struct run_args *a, struct fail *failp)
{
	static const struct option options[] = {{"seal", required_argument, NULL, 's'},
		{"address", required_argument, NULL, 'a'}, {"new", no_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
	int c, r = 0;

	while (r == 0 && (c = getopt_long(s->argc, s->argv, "+:hV", options, NULL)) != -1) {
		const char *word = s->argv[optind - 1];

		switch (c) {
		case 's':
			r = parse_seal(optarg, a, failp);
			break;
		case 'a':
			if (a->naddress == RUN_ADDRESSES_MAX)
				return usage(failp, "too many --address", "");
			a->address[a->naddress++] = optarg;
			break;
		case 'n':
			s->new = true;
			break;
		case 'h':
			a->what = RUN_HELP;
			return 0;
		case 'V':
			a->what = RUN_VERSION;
			return 0;
		case ':':
			return usage(failp, "a value is missing behind ", word);
		default:
			return usage(failp, "unknown option ", word);
		}
	}
	s->dashes = optind > 1 && strcmp(s->argv[optind - 1], "--") == 0;
	return r;
}

int run_args_parse(int argc, char **argv, struct run_args *argsp, struct fail *failp)
{
	struct run_args a = {.what = RUN_PROGRAM, .seal = RUN_SEAL_SEALED};
	struct scan s = {.argc = argc, .argv = argv};
	int r = scan_options(&s, &a, failp);

	if (r < 0)
		return r;
	if (a.what == RUN_PROGRAM && !s.new) {
		if (s.dashes || optind == argc)
			return usage(failp, "the portspace's name (or --new) is missing", "");
		a.name = argv[optind++];
		r = scan_options(&s, &a, failp);
		if (r < 0)
			return r;
		if (s.new)
			return usage(failp, "--new takes no name, but there is ", a.name);
	}
	if (a.what == RUN_PROGRAM && optind == argc)
		return usage(failp, "the program is missing", "");
	/* "--new NAME -- PROGRAM": NAME would be run as the program. */
	if (a.what == RUN_PROGRAM && s.new &&
		!s.dashes &&optind + 1 < argc &&strcmp(argv[optind + 1], "--") == 0)
		return usage(failp, "--new takes no name, but there is ", argv[optind]);
	a.command = argv + optind;
	*argsp = a;
	return 0;
}
