// What is in an IP packet, as a row. No system call, no allocation. Nothing that the network says is believed before it
// is checked: what a row names lies within the packet.
#pragma once

#include <cstdint>
#include <span>

#include "wire/tuple.h"
#include "wire/virtio_net.h"

namespace guise {

enum class Parsed : uint8_t {
  kRow,
  kFragment,  // of a packet: see Reassembly
  kDamaged,   // headers that contradict themselves, a wrong checksum, a route that leads elsewhere
};

// Reads a packet into the words of `out` that its kind has, but for the flow; offsets count from the packet's begin.
// The tuple of TCP and UDP; of other kinds it has no ports. `offload` is the header in front of it, or null.
[[nodiscard]] Parsed parse_row(std::span<const uint8_t> packet, const VirtioNetHeader* offload, int32_t* out,
                               Tuple& tuple);

}  // namespace guise
