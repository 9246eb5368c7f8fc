/* test_guest_hook.c - what becomes of a call that a rule acts upon. */
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/unit/guest_site.h"

static void a_failed_write_writes_nothing(void **state)
{
	int fd = file_make("a");
	bool made = true;

	(void)state;
	PLAN("write fail=ENOSPC nth=2");
	assert_int_equal(site_call(SYS_write, fd, "abc", 3), 3);
	assert_int_equal(
		site_call_made(&made, SYS_write, fd, (long)"def", 3, 0, 0, 0),
		-ENOSPC);
	assert_false(made);
	assert_int_equal(lseek(fd, 0, SEEK_END), 3);
	close(fd);
}

static void a_decision_is_one_event_that_says_what_was_decided(void **state)
{
	struct event event;
	int fd = file_make("a");

	(void)state;
	PLAN("read fail=EIO nth=99", "write fail=ENOSPC nth=2");
	site_call(SYS_write, fd, "abc", 3);
	assert_int_equal(count_events(), 0);
	site_call(SYS_write, fd, "abc", 3);
	assert_true(next_event(&event));
	assert_int_equal(event.call, CALL_write);
	assert_int_equal(event.fault, FAULT_fail);
	assert_int_equal(event.error, ENOSPC);
	assert_int_equal(event.fd, fd);
	assert_int_equal(event.rule, 1);
	assert_int_equal(event.index, 2);
	assert_int_equal(event.pid, getpid());
	assert_int_equal(event.stream, guest_process->path);
	assert_int_equal(event.flags, EVENT_SITE | EVENT_CHILD);
	assert_true(event.stack != 0);
	assert_false(next_event(&event));
	assert_int_equal(guest_state->fired[1], 1);
	assert_int_equal(guest_state->matched[1], 2);
	assert_int_equal(guest_process->calls[CALL_write], 2);
	close(fd);
}

static void times_ends_a_rule(void **state)
{
	int fd = file_make("a"), failed = 0;

	(void)state;
	PLAN("write fail=EIO times=2");
	for (int i = 0; i < 5; i++)
		failed += site_call(SYS_write, fd, "a", 1) == -EIO;
	assert_int_equal(failed, 2);
	assert_int_equal(guest_process->fired[0], 2);
	assert_int_equal(guest_process->matched[0], 5);
	close(fd);
}

static void the_first_rule_acts_unless_it_is_marked_also(void **state)
{
	int fd = file_make("a");

	(void)state;
	PLAN("write fail=EIO", "write fail=ENOSPC");
	assert_int_equal(site_call(SYS_write, fd, "a", 1), -EIO);
	assert_int_equal(guest_process->matched[1], 1); /* it counts on */
	PLAN("write delay=1000000 also", "write fail=ENOSPC");
	assert_int_equal(site_call(SYS_write, fd, "a", 1), -ENOSPC);
	assert_int_equal(count_events(), 2);
	close(fd);
}

static void a_rule_of_another_phase_is_not_looked_at(void **state)
{
	int fd = file_make("a");

	(void)state;
	PLAN("write fail=EIO phase=1", "write fail=ENOSPC nth=9");
	assert_int_equal(site_call(SYS_write, fd, "a", 1), 1);
	assert_int_equal(guest_process->matched[0], 0);
	guest_state->phase = 1;
	assert_int_equal(site_call(SYS_write, fd, "a", 1), -EIO);
	close(fd);
}

static void a_lapsed_lease_holds_everything_back(void **state)
{
	int fd = file_make("a");

	(void)state;
	PLAN("write fail=EIO");
	guest_state->lease.__data.__lock |= 0x40000000; /* FUTEX_OWNER_DIED */
	assert_int_equal(site_call(SYS_write, fd, "a", 1), 1);
	assert_int_equal(guest_state->lapses, 1);
	assert_int_equal(count_events(), 0);
	PLAN("write fail=EIO");
	guest_state->heartbeat_ns = guest_now_ns() - 2 * SHARED_LAPSE_NS;
	assert_int_equal(site_call(SYS_write, fd, "a", 1), 1);
	assert_int_equal(guest_state->lapses, 1);
	close(fd);
}

static void the_end_of_a_stream_brings_no_control_data(void **state)
{
	char buf[8], control[64];
	struct iovec iov = { buf, sizeof(buf) };
	struct sockaddr_storage name;
	struct msghdr msg = { .msg_name = &name,
			      .msg_namelen = sizeof(name),
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control),
			      .msg_flags = MSG_TRUNC };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	PLAN("recvmsg eof");
	assert_int_equal(site_call(SYS_recvmsg, pair[0], &msg, 0), 0);
	assert_int_equal(count_events(), 1);
	assert_int_equal(msg.msg_namelen, 0);
	assert_int_equal(msg.msg_controllen, 0);
	assert_int_equal(msg.msg_flags, 0);
	assert_null(CMSG_FIRSTHDR(&msg));
	close(pair[0]);
	close(pair[1]);
}

static void a_plain_transfer_is_cut_and_then_made_in_place(void **state)
{
	int fd = file_make("a");
	char buf[8] = "";
	bool made = false;

	(void)state;
	PLAN("write short=2", "read short=3");
	assert_int_equal(site_call_made(&made, SYS_write, fd, (long)"abcdef", 6,
					0, 0, 0),
			 2);
	assert_true(made);
	assert_int_equal(pwrite(fd, "abcdef", 6, 0), 6);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(site_call(SYS_read, fd, buf, 8), 3);
	assert_string_equal(buf, "abc");
	/* what can't be cut isn't counted */
	assert_int_equal(site_call(SYS_read, fd, buf, 3), 3);
	assert_int_equal(guest_process->matched[1], 1);
	close(fd);
}

static void a_vector_is_cut_to_the_byte_and_left_as_it_was(void **state)
{
	int fd = file_make("a");
	char one[3] = "", two[3] = "", three[3] = "";
	struct iovec out[] = { { "ab", 2 }, { "cdef", 4 }, { "gh", 2 } };
	struct iovec in[] = { { one, 2 }, { two, 2 }, { three, 2 } };
	struct iovec out_was[3], in_was[3];

	(void)state;
	memcpy(out_was, out, sizeof(out));
	memcpy(in_was, in, sizeof(in));
	PLAN("writev,pwritev short=5", "readv short=3");
	assert_int_equal(site_call(SYS_writev, fd, out, 3), 5);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(site_call(SYS_readv, fd, in, 3), 3);
	assert_string_equal(one, "ab");
	assert_string_equal(two, "c");
	assert_string_equal(three, "");
	assert_memory_equal(out, out_was, sizeof(out));
	assert_memory_equal(in, in_was, sizeof(in));
	close(fd);
}

static void a_long_vector_is_cut_too(void **state)
{
	static struct iovec out[1024];
	int fd = file_make("a");

	(void)state;
	for (int i = 0; i < 1024; i++)
		out[i] = (struct iovec){ "abc", 3 };
	PLAN("writev short=3001");
	assert_int_equal(site_call(SYS_writev, fd, out, 1024), 3001);
	assert_int_equal(lseek(fd, 0, SEEK_END), 3001);
	close(fd);
}

static void a_message_on_a_stream_is_cut(void **state)
{
	struct iovec iov[] = { { "ab", 2 }, { "cdef", 4 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	char buf[8] = "";
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	PLAN("sendmsg,recvmsg short=3");
	assert_int_equal(site_call(SYS_sendmsg, fds[0], &msg, 0), 3);
	assert_int_equal(recv(fds[1], buf, 8, 0), 3);
	assert_string_equal(buf, "abc");
	assert_int_equal(send(fds[0], "uvwxyz", 6, 0), 6);
	iov[0] = (struct iovec){ buf, 8 };
	msg.msg_iovlen = 1;
	assert_int_equal(site_call(SYS_recvmsg, fds[1], &msg, 0), 3);
	assert_int_equal(iov[0].iov_len, 8);
	close(fds[0]);
	close(fds[1]);
}

static void what_comes_in_records_is_never_cut(void **state)
{
	int fds[2], counter = eventfd(7, 0);
	uint64_t value;
	char buf[8];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	PLAN("send,recv,read short=1");
	assert_int_equal(site_call(SYS_sendto, fds[0], "abc", 3), 3);
	assert_int_equal(site_call(SYS_recvfrom, fds[1], buf, 8), 3);
	assert_int_equal(site_call(SYS_read, counter, &value, 8), 8);
	assert_int_equal(guest_process->matched[0], 0);
	close(fds[0]);
	close(fds[1]);
	close(counter);
}

static unsigned bits_apart(const char *a, const char *b, size_t n)
{
	unsigned bits = 0;

	for (size_t i = 0; i < n; i++)
		bits += (unsigned)__builtin_popcount(
			(unsigned char)(a[i] ^ b[i]));
	return bits;
}

static void corrupting_a_write_leaves_the_buffer_alone(void **state)
{
	char buf[] = "0123456789", copy[11], seen[11] = "";
	struct iovec iov[] = { { buf, 4 }, { buf + 4, 6 } };
	int fd = file_make("a");

	(void)state;
	memcpy(copy, buf, sizeof(buf));
	PLAN("write,writev corrupt=1");
	assert_int_equal(site_call(SYS_write, fd, buf, 10), 10);
	assert_memory_equal(buf, copy, 11);
	assert_int_equal(pread(fd, seen, 10, 0), 10);
	assert_int_equal(bits_apart(seen, buf, 10), 1);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(site_call(SYS_writev, fd, iov, 2), 10);
	assert_memory_equal(buf, copy, 11);
	assert_int_equal(pread(fd, seen, 10, 0), 10);
	assert_int_equal(bits_apart(seen, buf, 10), 1);
	assert_int_equal(iov[0].iov_len, 4);
	close(fd);
}

static void corrupting_a_read_bends_what_came(void **state)
{
	char one[5] = "", two[7] = "", all[11];
	struct iovec iov[] = { { one, 4 }, { two, 6 } };
	int fd = file_make("a");

	(void)state;
	assert_int_equal(pwrite(fd, "0123456789", 10, 0), 10);
	PLAN("readv corrupt=1");
	assert_int_equal(site_call(SYS_readv, fd, iov, 2), 10);
	snprintf(all, sizeof(all), "%.4s%.6s", one, two);
	assert_int_equal(bits_apart(all, "0123456789", 10), 1);
	assert_int_equal(count_events(), 1);
	/* at the end of the file there is nothing to bend */
	assert_int_equal(site_call(SYS_readv, fd, iov, 2), 0);
	assert_int_equal(count_events(), 0);
	assert_int_equal(guest_process->fired[0], 1);
	close(fd);
}

static void only_what_came_is_bent(void **state)
{
	char buf[64] = "", copy[64] = "";
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	PLAN("recv corrupt=64");
	for (int i = 0; i < 50; i++) { /* cut off, but reported in full */
		assert_int_equal(send(fds[0], copy, 64, 0), 64);
		assert_int_equal(
			site_call(SYS_recvfrom, fds[1], buf, 1, MSG_TRUNC), 64);
	}
	assert_memory_equal(buf + 1, copy + 1, 63);
	close(fds[0]);
	close(fds[1]);
}

static void doors_that_are_being_closed_are_no_lapse(void **state)
{
	int fd = file_make("a");

	(void)state;
	PLAN("write fail=EIO");
	guest_state->armed = 0;
	assert_int_equal(site_call(SYS_write, fd, "a", 1), 1);
	guest_state->armed = 1;
	guest_state->halted = 1;
	assert_int_equal(site_call(SYS_write, fd, "a", 1), 1);
	assert_int_equal(guest_state->lapses, 0);
	assert_int_equal(count_events(), 0);
	close(fd);
}

static void a_bad_pointer_stays_the_kernels_to_refuse(void **state)
{
	void *bad = (void *)16;
	int fd = file_make("a");

	(void)state;
	PLAN("write,writev,sendmsg corrupt=1", "open path=/nowhere fail=EIO",
	     "connect peer=127.0.0.1 fail=EIO");
	assert_int_equal(site_call(SYS_write, fd, bad, 10), -EFAULT);
	assert_int_equal(site_call(SYS_writev, fd, bad, 2), -EFAULT);
	assert_int_equal(site_call(SYS_openat, AT_FDCWD, bad, 0), -EFAULT);
	assert_int_equal(site_call(SYS_connect, fd, bad, 16), -EFAULT);
	close(fd);
}

static void close_releases_and_then_fails(void **state)
{
	int fd = file_make("a");

	(void)state;
	PLAN("close fail=EIO");
	assert_int_equal(site_call(SYS_close, fd), -EIO);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(site_call(SYS_close, fd), -EBADF);
}

static void brk_fails_by_the_old_break(void **state)
{
	long old = sys3(SYS_brk, 0, 0, 0);

	(void)state;
	PLAN("brk fail=ENOMEM");
	assert_int_equal(site_call(SYS_brk, old + 4096), old);
	assert_int_equal(sys3(SYS_brk, 0, 0, 0), old);
}

static void a_late_failure_was_done(void **state)
{
	struct event event;
	int fd = file_make("a");

	(void)state;
	PLAN("write late=EIO");
	assert_int_equal(site_call(SYS_write, fd, "abc", 3), -EIO);
	assert_int_equal(lseek(fd, 0, SEEK_END), 3);
	assert_true(next_event(&event));
	assert_true(event.flags & EVENT_AFTER);
	assert_int_equal(site_call(SYS_write, -1, "abc", 3), -EBADF);
	close(fd);
}

static void eagain_is_for_those_who_asked_not_to_wait(void **state)
{
	int fds[2];
	char c;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(write(fds[0], "abc", 3), 3);
	PLAN("recv fail=EAGAIN");
	assert_int_equal(site_call(SYS_recvfrom, fds[1], &c, 1), 1);
	assert_int_equal(site_call(SYS_recvfrom, fds[1], &c, 1, MSG_DONTWAIT),
			 -EAGAIN);
	PLAN("recv fail=EAGAIN adversarial");
	assert_int_equal(site_call(SYS_recvfrom, fds[1], &c, 1), -EAGAIN);
	PLAN("recv fail=EAGAIN");
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	assert_int_equal(site_call(SYS_recvfrom, fds[1], &c, 1), -EAGAIN);
	close(fds[0]);
	close(fds[1]);
}

static void registers_come_back_as_they_were(void **state)
{
	struct iovec iov[] = { { "ab", 2 }, { "cdef", 4 } };
	static const struct site_stub stub = { .nr = -1 };
	int fd = file_make("a");
	struct site_frame frame = { .regs = { .rax = SYS_writev,
					      .rdi = (uint64_t)fd,
					      .rsi = (uint64_t)iov,
					      .rdx = 2,
					      .rbx = 77,
					      .stub = &stub } };
	struct site_regs was = frame.regs;

	(void)state;
	PLAN("writev short=3");
	assert_int_equal(site_hook(&frame.regs), SITE_RETURN);
	assert_int_equal(frame.regs.rax, 3);
	was.rax = 3;
	assert_memory_equal(&frame.regs, &was, sizeof(was));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_failed_write_writes_nothing),
		TEST(a_decision_is_one_event_that_says_what_was_decided),
		TEST(times_ends_a_rule),
		TEST(the_first_rule_acts_unless_it_is_marked_also),
		TEST(a_rule_of_another_phase_is_not_looked_at),
		TEST(a_lapsed_lease_holds_everything_back),
		TEST(the_end_of_a_stream_brings_no_control_data),
		TEST(a_plain_transfer_is_cut_and_then_made_in_place),
		TEST(a_vector_is_cut_to_the_byte_and_left_as_it_was),
		TEST(a_long_vector_is_cut_too),
		TEST(a_message_on_a_stream_is_cut),
		TEST(what_comes_in_records_is_never_cut),
		TEST(corrupting_a_write_leaves_the_buffer_alone),
		TEST(corrupting_a_read_bends_what_came),
		TEST(only_what_came_is_bent),
		TEST(doors_that_are_being_closed_are_no_lapse),
		TEST(a_bad_pointer_stays_the_kernels_to_refuse),
		TEST(close_releases_and_then_fails),
		TEST(brk_fails_by_the_old_break),
		TEST(a_late_failure_was_done),
		TEST(eagain_is_for_those_who_asked_not_to_wait),
		TEST(registers_come_back_as_they_were),
	};

	return GUEST_TESTS_RUN(tests);
}
