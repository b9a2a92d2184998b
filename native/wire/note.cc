#include "wire/note.h"

#include <array>

#include "wire/bytes.h"
#include "wire/siphash.h"

namespace guise {
namespace {

// A tag over the rest, a nonce, and the fields under a mask that the nonce makes: 8 bytes each.
constexpr size_t kTag = 0, kNonce = 8, kFields = 16;

// No secrets: the tag tells notes from datagrams that have come late. Who can forge a segment of the connection at all
// can forge datagrams, too.
constexpr std::array<uint64_t, 2> kTagKey = {0x6775697365206e6f, 0x7465206f66203230};
constexpr std::array<uint64_t, 2> kMaskKey = {0x67756973656d6173, 0x6b206f6620323032};

uint64_t tag_of(uint64_t nonce, uint64_t fields) { return sip_hash(kTagKey, std::array<uint64_t, 2>{nonce, fields}); }
uint64_t mask_of(uint64_t nonce) { return sip_hash(kMaskKey, std::array<uint64_t, 1>{nonce}); }

void put(uint8_t* at, uint64_t word) { std::memcpy(at, &word, sizeof word); }

}  // namespace

void write_note(uint8_t* out, const Note& note, uint64_t nonce) {
  const uint64_t fields = static_cast<uint64_t>(note.type) | uint64_t{note.size} << 16 | uint64_t{note.token} << 32;
  put(out + kTag, tag_of(nonce, fields));
  put(out + kNonce, nonce);
  put(out + kFields, fields ^ mask_of(nonce));
}

std::optional<Note> read_note(std::span<const uint8_t> payload) {
  if (payload.size() < Note::kSize) return std::nullopt;
  const auto nonce = read_at<uint64_t>(&payload[kNonce]);
  const uint64_t fields = read_at<uint64_t>(&payload[kFields]) ^ mask_of(nonce);
  if (read_at<uint64_t>(&payload[kTag]) != tag_of(nonce, fields)) return std::nullopt;
  return Note{.type = static_cast<Note::Type>(fields & 0xff),
              .size = static_cast<uint16_t>(fields >> 16),
              .token = static_cast<uint32_t>(fields >> 32)};
}

}  // namespace guise
