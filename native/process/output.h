// Output to whoever may have stopped reading it.
#pragma once

#include <cstdint>
#include <span>

namespace guise {

// Writes as much as a descriptor takes, and waits for it to take something no longer than `milliseconds`, whether the
// descriptor is a blocking one or not. The bytes written, or -errno: -EAGAIN where it has taken none.
[[nodiscard]] int64_t write_now(int fd, std::span<const uint8_t> bytes, int milliseconds);

}  // namespace guise
