// Whether a TUN interface is still as it was set up.
#pragma once

#include <string>

#include "wire/tuple.h"

namespace guise {

// 1 when an interface is up with an MTU in bytes and the host's route to `peer` leads to it, 0 when not, or -errno. For
// the price of two questions to the kernel; needs no right.
[[nodiscard]] int is_set_up(const std::string& interface, uint32_t mtu, const Address& peer);

}  // namespace guise
