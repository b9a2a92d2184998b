// What the kernel's routes say of a remote address.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

#include "wire/tuple.h"

namespace guise {

struct Route {
  Address source;    // the host's address that a connection to it would have
  uint32_t mtu = 0;  // bytes of the largest IP packet that goes there, as far as the kernel knows
};

// The MTU of a connected socket's route: what the route says, else its interface (ip(7), IP_MTU). 0 or -errno.
[[nodiscard]] inline int route_mtu(int fd, int family, uint32_t& out) {
  int mtu = 0;
  socklen_t size = sizeof mtu;
  const bool v4 = family == AF_INET;
  if (::getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu, &size) < 0) return -errno;
  out = static_cast<uint32_t>(mtu);
  return 0;
}

}  // namespace guise
