// How many bytes are received before a pure ACK is sent. Firewalls count what nobody has acknowledged yet and stop what
// exceeds 64 KiB, 1 MiB or 2 MiB, so the fewer the better; but each ACK costs processor time at both ends. So up to the
// rate that the strictest of them let through every second datagram is acknowledged, as TCP does (RFC 9293 §3.8.6.3),
// and what is faster has as many ACKs a second as are affordable. Gaps look like such a firewall: after one it is every
// second datagram again.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "plane/policy.h"

namespace guise {

// A reader's. Two readers at once make the pace a little wrong, and nothing else.
class AckPace {
 public:
  // `receive_next`: RCV.NXT. A connection whose windows are not scaled has no more than Policy::unscaled_window in
  // flight, and must acknowledge in parts of it.
  AckPace(const Policy& policy, bool scaled, uint32_t receive_next)
      : policy_(policy),
        most_(scaled ? policy.most_ack_bytes : policy.unscaled_ack_bytes),
        bytes_(least()),
        from_(receive_next) {}

  [[nodiscard]] uint32_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // Something is missing.
  void gap() {
    gap_.store(true, std::memory_order_relaxed);
    bytes_.store(least(), std::memory_order_relaxed);
  }

  // With each ACK; `now` in milliseconds of a steady clock.
  void acknowledged(uint32_t receive_next, uint32_t now) {
    const uint32_t elapsed = now - since_.load(std::memory_order_relaxed);
    if (elapsed < policy_.ack_pace_interval) return;
    const uint64_t received = receive_next - from_.load(std::memory_order_relaxed);
    since_.store(now, std::memory_order_relaxed);
    from_.store(receive_next, std::memory_order_relaxed);
    if (gap_.exchange(false, std::memory_order_relaxed)) return;
    const uint64_t rate = received * 1000 / elapsed;
    const uint64_t beyond = rate - std::min<uint64_t>(rate, policy_.every_second_rate);
    const uint64_t each = policy_.least_ack_bytes + beyond / policy_.acks_per_second;
    bytes_.store(static_cast<uint32_t>(std::clamp<uint64_t>(each, least(), most_)), std::memory_order_relaxed);
  }

 private:
  [[nodiscard]] uint32_t least() const { return std::min(policy_.least_ack_bytes, most_); }

  const Policy& policy_;
  const uint32_t most_;
  std::atomic<uint32_t> bytes_;
  std::atomic<uint32_t> from_;      // RCV.NXT when the pace was set
  std::atomic<uint32_t> since_{0};  // and when that was
  std::atomic<bool> gap_{false};
};

}  // namespace guise
