// The program that the kernel runs on each packet of the host's links: only segments of ours pass.
#pragma once

#include <linux/filter.h>

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "wire/tuple.h"

namespace guise {

// Whose segments pass.
struct SegmentInterests {
  std::vector<uint16_t> ports;    // of ours: that we listen on, or have accepted connections on
  std::vector<Endpoint> remotes;  // that we have connections to, or open them to

  // Whether anything of a family may be ours: AF_INET or AF_INET6. A port is of both.
  [[nodiscard]] bool concern(int family) const {
    return !ports.empty() || std::ranges::any_of(remotes, [family](const Endpoint& remote) {
      return remote.address.is_v4() == (family == AF_INET);
    });
  }
};

// Packets of one size class and one family: `least` to `most` bytes with the link's header.
struct FilterScope {
  int family;  // AF_INET or AF_INET6
  uint32_t least;
  uint32_t most;
};

// Classic BPF (Documentation/networking/filter.rst). What is not TCP does not pass; a fragment of TCP passes, since the
// ports are in the first one only. With more interests than a program has room for (BPF_MAXINSNS), all TCP passes: the
// engine looks at each segment again.
[[nodiscard]] std::vector<sock_filter> segment_filter(const SegmentInterests& interests, const FilterScope& scope);

// Passes all TCP of a scope.
[[nodiscard]] std::vector<sock_filter> wide_filter(const FilterScope& scope);

// Drops everything.
[[nodiscard]] std::vector<sock_filter> closed_filter();

// 0 or -errno.
[[nodiscard]] int attach_filter(int fd, std::span<const sock_filter> program);

}  // namespace guise
