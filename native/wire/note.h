// Notes: what one guise tells another beside the datagrams of a connection. A note is a segment with data whose numbers
// the peer has acknowledged long ago: to boxes on the path it is a retransmission, in the stream it takes no place, and
// to the application it is nothing. Lost ones are lost. Never sent to phantun, which would deliver it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace guise {

struct Note {
  enum class Type : uint8_t {
    kProbe = 1,   // to be answered
    kAnswer = 2,  // to a probe: with its token, and the size that it came in
    kEmpty = 3,   // a datagram of 0 bytes
  };
  // Bytes of a note; it may be followed by zeros, as many as one likes.
  static constexpr size_t kSize = 24;

  Type type{};
  uint16_t size = 0;   // bytes of the probe's payload: in the probe as it was sent, in the answer as it came
  uint32_t token = 0;  // the asker's, comes back with the answer
};

// Writes kSize bytes. `nonce`: any number; with it notes look like noise, each another.
void write_note(uint8_t* out, const Note& note, uint64_t nonce);

// The note in front of a payload; nothing when it is not one. Of other data one in 2^64 is taken for one.
[[nodiscard]] std::optional<Note> read_note(std::span<const uint8_t> payload);

}  // namespace guise
