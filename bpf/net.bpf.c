// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* net - does the target hammer a dead peer, and what does TCP do about it?
 *
 * Question  Connection attempts and their fate, by peer; retransmits; resets.
 *           Static programs and Go are seen like all others.
 * Hooks     tp_btf/inet_sock_set_state   attempts, and what became of them
 *           tp_btf/tcp_retransmit_skb
 *           tp_btf/tcp_send_reset, tcp_receive_reset
 *           iter/task_file               sockets that a process had before it
 *                                        was followed
 * Cost      nothing per system call; about 100 ns per change of state of a
 *           TCP socket, of anybody
 * Floor     5.12
 *
 * Whose socket it is can't be asked of the task that runs: most of TCP happens
 * in whoever was interrupted.  So a socket is noted when a process that is
 * followed connects or listens, and one that comes in belongs to who listens
 * on its port in its network namespace.
 */
#include "bpf/maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define IPPROTO_TCP	6
#define AF_INET		2
#define AF_INET6	10
#define TCP_ESTABLISHED 1 /* include/net/tcp_states.h */
#define TCP_SYN_SENT	2
#define TCP_SYN_RECV	3
#define TCP_CLOSE	7
#define TCP_LISTEN	10
#define S_IFMT		0170000
#define S_IFSOCK	0140000
#define RESETS_TOLD_MAX 256 /* events; all are counted */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PEERS_MAX);
	__type(key, struct peer_key);
	__type(value, struct peer);
} peers SEC(".maps");

struct conn {
	struct peer_key peer;
	__u32 tgid;
	__u32 established;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* struct sock * */
	__type(value, struct conn);
} conns SEC(".maps");

struct listener {
	__u64 net;
	__u64 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct listener);
	__type(value, __u32); /* tgid */
} listeners SEC(".maps");

__u32 adopt = 0; /* of whom the iterator takes sockets over; 0: nobody */
__u64 resets_told = 0;

static __always_inline struct listener listener_of(const struct sock *sk)
{
	return (struct listener){
		.net = (__u64)BPF_CORE_READ(sk, __sk_common.skc_net.net),
		.port = BPF_CORE_READ(sk, __sk_common.skc_num),
	};
}

static __noinline void conn_fill(struct conn *conn, const struct sock *sk,
				 __u32 tgid, bool is_in)
{
	struct peer_key *peer = &conn->peer;

	conn->tgid = tgid;
	peer->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (peer->family == AF_INET)
		BPF_CORE_READ_INTO((__u32 *)peer->address, sk,
				   __sk_common.skc_daddr);
	else
		BPF_CORE_READ_INTO(&peer->address, sk,
				   __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	peer->is_in = is_in;
	peer->port =
		is_in ? BPF_CORE_READ(sk, __sk_common.skc_num)
		      : bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

static __noinline struct peer *peer_of(const struct peer_key *key)
{
	struct peer none = {}, *peer = bpf_map_lookup_elem(&peers, key);

	if (peer)
		return peer;
	bpf_map_update_elem(&peers, key, &none, BPF_NOEXIST);
	peer = bpf_map_lookup_elem(&peers, key);
	if (!peer)
		lost_counter(WATCH_NET);
	return peer;
}

static __noinline void connect_begins(const struct sock *sk, __u32 tgid,
				      bool is_in)
{
	struct conn conn = {};
	__u64 at = (__u64)sk, now = bpf_ktime_get_ns();
	struct peer *peer;

	conn_fill(&conn, sk, tgid, is_in);
	if (bpf_map_update_elem(&conns, &at, &conn, BPF_ANY))
		lost_counter(WATCH_NET);
	peer = peer_of(&conn.peer);
	if (!peer)
		return;
	__sync_fetch_and_add(&peer->connects, 1);
	if (!peer->first_ns)
		peer->first_ns = now;
	peer->last_ns = now;
}

static __noinline void conn_ends(const struct sock *sk, struct conn *conn)
{
	struct peer *peer = peer_of(&conn->peer);
	__u64 at = (__u64)sk;

	if (peer)
		__sync_fetch_and_add(
			conn->established ? &peer->closed : &peer->failed, 1);
	bpf_map_delete_elem(&conns, &at);
}

/* A process of the target connects or listens: by its own call. */
static __noinline void state_by_call(const struct sock *sk, int state)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct listener listener;

	if (!member_find(tgid))
		return;
	if (state == TCP_SYN_SENT) {
		connect_begins(sk, tgid, false);
	} else {
		listener = listener_of(sk);
		if (bpf_map_update_elem(&listeners, &listener, &tgid, BPF_ANY))
			lost_counter(WATCH_NET);
	}
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, const struct sock *sk, int before, int state)
{
	struct listener listener;
	struct conn *conn;
	struct peer *peer;
	__u64 at = (__u64)sk;
	__u32 *tgid;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (state == TCP_SYN_SENT || state == TCP_LISTEN) {
		state_by_call(sk, state);
		return 0;
	}
	if (before == TCP_LISTEN && state == TCP_CLOSE) {
		listener = listener_of(sk);
		bpf_map_delete_elem(&listeners, &listener);
		return 0;
	}
	if (state == TCP_SYN_RECV && before == TCP_LISTEN) {
		listener = listener_of(sk);
		tgid = bpf_map_lookup_elem(&listeners, &listener);
		if (tgid)
			connect_begins(sk, *tgid, true);
		return 0;
	}
	conn = bpf_map_lookup_elem(&conns, &at);
	if (!conn)
		return 0;
	if (state == TCP_ESTABLISHED && !conn->established) {
		conn->established = 1;
		peer = peer_of(&conn->peer);
		if (peer)
			__sync_fetch_and_add(&peer->established, 1);
	} else if (state == TCP_CLOSE) {
		conn_ends(sk, conn);
	}
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(on_retransmit, const struct sock *sk)
{
	__u64 at = (__u64)sk;
	struct conn *conn = bpf_map_lookup_elem(&conns, &at);
	struct peer *peer = conn ? peer_of(&conn->peer) : NULL;

	if (peer)
		__sync_fetch_and_add(&peer->retransmits, 1);
	return 0;
}

static __noinline int reset_count(const struct sock *sk, bool sent)
{
	__u64 at = (__u64)sk;
	struct watch_reset_body *body;
	struct watch_record *record;
	struct conn *conn;
	struct peer *peer;

	if (!sk) /* there was none for what came in */
		return 0;
	conn = bpf_map_lookup_elem(&conns, &at);
	peer = conn ? peer_of(&conn->peer) : NULL;
	if (!peer)
		return 0;
	__sync_fetch_and_add(sent ? &peer->resets_sent : &peer->resets_received,
			     1);
	if (__sync_fetch_and_add(&resets_told, 1) >= RESETS_TOLD_MAX)
		return 0;
	record = event_begin(WATCH_NET, WATCH_RESET, sizeof(*body), conn->tgid,
			     0);
	if (!record)
		return 0;
	body = (void *)(record + 1);
	body->family = conn->peer.family;
	body->port_local = BPF_CORE_READ(sk, __sk_common.skc_num);
	body->port_peer = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	body->sent = sent;
	__builtin_memcpy(body->peer, conn->peer.address, sizeof(body->peer));
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(on_reset_sent, const struct sock *sk)
{
	return reset_count(sk, true);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(on_reset_received, const struct sock *sk)
{
	return reset_count(sk, false);
}

SEC("iter/task_file")
int on_adopt(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct listener listener;
	struct conn conn = {};
	struct socket *socket;
	struct sock *sk;
	__u32 tgid;
	__u64 at;

	if (!task || !file || !adopt || (__u32)task->tgid != adopt)
		return 0;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	tgid = task->tgid;
	at = (__u64)sk;
	listener = listener_of(sk);
	switch (BPF_CORE_READ(sk, __sk_common.skc_state)) {
	case TCP_LISTEN:
		bpf_map_update_elem(&listeners, &listener, &tgid, BPF_ANY);
		break;
	case TCP_ESTABLISHED:
		conn_fill(&conn, sk, tgid,
			  bpf_map_lookup_elem(&listeners, &listener) != NULL);
		conn.established = 1;
		bpf_map_update_elem(&conns, &at, &conn, BPF_ANY);
		break;
	}
	return 0;
}
