// Takes capabilities away from the whole running process, for good.
#pragma once

#include <cstdint>

namespace guise {

// Leaves every thread no capability but those of `keep` (bit n: capability n of linux/capability.h), in the bounding
// set too where CAP_SETPCAP allows it. `kept` becomes what this thread has of them. 0, or -errno: -ETIMEDOUT when some
// thread did not follow within a second.
[[nodiscard]] int limit_capabilities(uint64_t keep, uint64_t& kept);

}  // namespace guise
