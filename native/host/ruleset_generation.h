// Notices that somebody has changed the firewall, for the price of a system call.
#pragma once

#include <cstdint>

namespace guise {

// The number of the nftables ruleset of this network namespace, 32 bits: each change, whoever makes it, takes the next.
// Or -errno; needs CAP_NET_ADMIN.
[[nodiscard]] int64_t ruleset_generation();

}  // namespace guise
