// Opens the queues of a TUN interface.
#pragma once

#include <string>
#include <vector>

#include "io/unique_fd.h"

namespace guise {

struct TunDevice {
  std::string name;
  std::vector<UniqueFd> queues;
  bool virtio_header = false;
  bool segmentation = false;  // the kernel takes and gives TCP super-segments
};

// Creates the interface `name` (empty: the kernel picks tunN; at most 15 bytes), or attaches to a persistent one.
// Without `offload` packets come and go one by one, with no header. Returns 0, or -errno and the call that failed.
[[nodiscard]] int open_tun(const std::string& name, size_t queues, bool offload, TunDevice& out, const char*& syscall);

// Bytes of the largest packet of the interface that a descriptor is a queue of, in this network namespace; or -errno:
// where it is none.
[[nodiscard]] int mtu_of_tun(int fd);

}  // namespace guise
