#include "runner/probe.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/clock.h"

#define KILL_WITHIN_NS NS_PER_S

__attribute__((format(printf, 2, 3))) static bool fails(char why[PROBE_WHY_MAX],
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, PROBE_WHY_MAX, format, args);
	va_end(args);
	return false;
}

static int socket_make(const struct probe_context *context, int family,
		       int type)
{
	if (context->sandbox)
		return sandbox_socket(context->sandbox, family, type);
	return socket(family, type | SOCK_CLOEXEC, 0);
}

/* 0 when connected by then, else an errno. */
static int connect_by(int fd, const struct addrinfo *to, uint64_t until_ns)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
	socklen_t n = sizeof(int);
	int error;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	while (poll(&pollfd, 1, clock_left_ms(until_ns, 60000)) <= 0)
		if (clock_now_ns() >= until_ns)
			return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		return errno;
	return error;
}

static bool try_tcp(const struct probe *probe,
		    const struct probe_context *context, uint64_t until_ns,
		    char why[PROBE_WHY_MAX])
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *to;
	char *host = strdup(probe->where), *colon, *name = host;
	int error;

	colon = host ? strrchr(host, ':') : NULL;
	if (!colon) {
		free(host);
		return fails(why, "%s: no port", probe->where);
	}
	*colon = '\0';
	if (name[0] == '[' && colon > name && colon[-1] == ']') {
		colon[-1] = '\0';
		name++;
	}
	error = getaddrinfo(*name ? name : "127.0.0.1", colon + 1, &hints,
			    &list);
	free(host);
	if (error)
		return fails(why, "%s: %s", probe->where, gai_strerror(error));
	error = EADDRNOTAVAIL;
	for (to = list; to; to = to->ai_next) {
		int fd = socket_make(context, to->ai_family, SOCK_STREAM);

		error = fd < 0 ? errno : connect_by(fd, to, until_ns);
		if (fd >= 0)
			close(fd);
		if (!error)
			break;
	}
	freeaddrinfo(list);
	if (error)
		return fails(why, "%s: %s", probe->where, strerror(error));
	return true;
}

static curl_socket_t curl_socket_open(void *arg, curlsocktype purpose,
				      struct curl_sockaddr *to)
{
	(void)purpose;
	return socket_make(arg, to->family, to->socktype);
}

static size_t curl_discard(char *bytes, size_t size, size_t n, void *arg)
{
	(void)bytes;
	(void)arg;
	return size * n;
}

static bool try_http(const struct probe *probe,
		     const struct probe_context *context, uint64_t until_ns,
		     char why[PROBE_WHY_MAX])
{
	void *borrowed = (void *)(uintptr_t)context;
	CURL *curl = curl_easy_init();
	long left_ms, status = 0;
	CURLcode code;

	if (!curl)
		return fails(why, "%s: no memory", probe->where);
	left_ms = clock_left_ms(until_ns, 600000);
	curl_easy_setopt(curl, CURLOPT_URL, probe->where);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left_ms ? left_ms : 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, curl_discard);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, curl_socket_open);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, borrowed);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "mishap/" MISHAP_VERSION);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	if (code != CURLE_OK)
		return fails(why, "%s: %s", probe->where,
			     curl_easy_strerror(code));
	if (status < 200 || status > 399)
		return fails(why, "%s: status %ld", probe->where, status);
	return true;
}

static bool try_file(const struct probe *probe,
		     const struct probe_context *context,
		     char why[PROBE_WHY_MAX])
{
	char root[32] = "", *path;
	bool exists;
	int n;

	if (context->sandbox)
		snprintf(root, sizeof(root), "/proc/%d/root",
			 (int)sandbox_pid(context->sandbox));
	n = probe->where[0] == '/' ? asprintf(&path, "%s%s", root, probe->where)
				   : asprintf(&path, "%s%s/%s", root,
					      context->cwd, probe->where);
	if (n < 0)
		return fails(why, "%s: no memory", probe->where);
	exists = access(path, F_OK) == 0;
	free(path);
	return exists || fails(why, "%s: %s", probe->where, strerror(errno));
}

static bool try_command(const struct probe *probe,
			const struct probe_context *context, uint64_t until_ns,
			char why[PROBE_WHY_MAX])
{
	const char *name = probe->command.items[0];
	struct launch launch = { .argv = probe->command.items,
				 .envp = context->envp,
				 .cwd = context->cwd,
				 .in = -1,
				 .out = -1,
				 .err = -1,
				 .ledger_fd = -1,
				 .role = TREE_COMMAND,
				 .sandbox = context->sandbox };
	struct tree_process *process;
	struct ending ending;
	bool in_time;
	int error;

	error = launch_start(context->tree, &launch, &process);
	if (error)
		return fails(why, "%s: %s", name, strerror(-error));
	in_time = tree_wait(context->tree, process, until_ns);
	if (!in_time) {
		tree_signal(context->tree, process, SIGKILL);
		tree_wait(context->tree, process,
			  clock_now_ns() + KILL_WITHIN_NS);
	}
	ending = tree_ending(context->tree, process);
	tree_drop(context->tree, process);
	if (!in_time)
		return fails(why, "%s: no answer in time", name);
	if (ending.signal)
		return fails(why, "%s: died by signal %d", name, ending.signal);
	if (ending.status)
		return fails(why, "%s: exit %d", name, ending.status);
	return true;
}

bool probe_try(const struct probe *probe, const struct probe_context *context,
	       uint64_t until_ns, char why[PROBE_WHY_MAX])
{
	why[0] = '\0';
	switch (probe->kind) {
	case PROBE_TCP:
		return try_tcp(probe, context, until_ns, why);
	case PROBE_HTTP:
		return try_http(probe, context, until_ns, why);
	case PROBE_FILE:
		return try_file(probe, context, why);
	case PROBE_COMMAND:
		return try_command(probe, context, until_ns, why);
	case PROBE_NONE:
		break;
	}
	return true;
}

void probe_init(void)
{
	static bool done;

	if (!done)
		curl_global_init(CURL_GLOBAL_DEFAULT);
	done = true;
}
