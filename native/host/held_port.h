// A TCP port of this host that the kernel keeps for us and stays silent on: a listening socket that drops what comes,
// before a SYN-ACK or a RST is made of it. `ss -ltn` shows it, and nobody else can have the port. It takes no right,
// but for a port below net.ipv4.ip_unprivileged_port_start.
//
// It drops by IP_MINTTL and IPV6_MINHOPCOUNT (net/ipv4/tcp_ipv4.c, tcp_v4_rcv: min_ttl) all but what came with a TTL of
// 255, from the same link or past a router that sets it; and the rest by a filter (tcp_filter). Kernels of 2026 take a
// filter on TCP sockets only with CAP_NET_ADMIN: there the rest is dropped because it bears no signature (RFC 2385,
// tcp_inbound_hash).
#pragma once

#include "io/unique_fd.h"
#include "wire/tuple.h"

namespace guise {

// `local.address`: one of the host's; 0.0.0.0 for all of IPv4, :: for all of both families. `local.port`: 0 for one
// that the kernel chooses, which `local` has then. 0, or -errno and the call that failed.
[[nodiscard]] int hold_port(Endpoint& local, UniqueFd& out, const char*& syscall);

}  // namespace guise
