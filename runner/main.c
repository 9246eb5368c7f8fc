/* mishap - take any Linux program through every mishap that production will
 * bring, and judge it on evidence. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runner/launch.h"
#include "runner/run.h"
#include "scenarios/text.h"

static const struct command {
	const char *name, *says;
	int (*run)(int argc, char **argv);
} commands[] = {
#define COMMAND(name, says) { #name, says, cmd_##name },
#include "runner/commands.def"
#undef COMMAND
};

#define COMMANDS (sizeof(commands) / sizeof(*commands))

static void print_help(FILE *out)
{
	fputs("mishap - take any Linux program through every mishap that\n"
	      "production will bring, and judge it on evidence\n"
	      "\n"
	      "  mishap COMMAND [OPTION...] [ARGUMENT...]\n"
	      "\n",
	      out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].says);
	fputs("\n"
	      "begin with:\n"
	      "  mishap run -f 'write path=**/out fail=ENOSPC nth=2' \\\n"
	      "    --expect 'exit!=0' -- sort -o out in\n"
	      "\n"
	      "mishap COMMAND --help says more; mishap(1) says all.\n",
	      out);
}

/* A closed standard stream would become the next file that we open, and what
 * is printed would land in that.  Opened the wrong way round, its use fails. */
static void streams_hold(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null",
			     (fd == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const char *near_name;
	struct near near;

	streams_hold();
	launch_signals_keep();
	signal(SIGXFSZ, SIG_IGN); /* EFBIG instead, and a verdict */
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts("mishap " MISHAP_VERSION);
		return 0;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
	    (strcmp(name, "help") == 0 && argc == 2)) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(name, "help") == 0) { /* help COMMAND is COMMAND --help */
		static char help[] = "--help";

		name = argv[1] = argv[2];
		argv[2] = help;
	}
	near = near_start(name, strlen(name));
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
		near_try(&near, commands[i].name);
	}
	if (!*name) {
		print_help(stderr);
		return EXIT_CODE_USAGE;
	}
	near_name = near_found(&near);
	if (near_name)
		fprintf(stderr, "mishap: no command '%s'; did you mean '%s'?\n",
			name, near_name);
	else
		fprintf(stderr, "mishap: no command '%s'\n", name);
	fputs("  try: mishap --help\n", stderr);
	return EXIT_CODE_USAGE;
}
