// Receives and judges datagrams.
#pragma once

#include <atomic>
#include <vector>

#include "datagram.h"
#include "socket.h"

namespace traffic {

struct Received {
  uint64_t datagrams = 0, bytes = 0, corrupted = 0, reordered = 0, duplicated = 0, wrong_peer = 0;
  uint64_t highest = 0;  // of flow 0: sequence number seen + 1
  size_t flows = 0;      // sockets of the sender that were heard of
  uint64_t first_at = 0, last_at = 0;

  [[nodiscard]] double seconds() const { return static_cast<double>(last_at - first_at) * 1e-9; }
};

struct ReceivePlan {
  bool gro = false, verify = true;
  bool echo = false;   // send back what wants an answer
  bool stick = false;  // connect to the first peer and count what others send
  double idle = 2;     // seconds without a datagram until it ends
};

// Which sequence numbers of one flow have come.
class Arrivals {
 public:
  enum class Kind { kNext, kLate, kTwice };

  Kind take(uint64_t sequence) {
    const bool next = sequence + 1 > highest_;
    if (next) highest_ = sequence + 1;
    const size_t word = sequence / 64;
    if (word >= marks_.size()) marks_.resize(word * 2 + 4);
    const uint64_t bit = uint64_t{1} << (sequence % 64);
    const bool before = marks_[word] & bit;
    marks_[word] |= bit;
    return next ? Kind::kNext : before ? Kind::kTwice : Kind::kLate;
  }
  [[nodiscard]] uint64_t highest() const { return highest_; }

 private:
  uint64_t highest_ = 0;
  std::vector<uint64_t> marks_;
};

class Receiver {
 public:
  Receiver(int fd, const ReceivePlan& plan) : fd_(fd), plan_(plan), buffer_(kBatch * 65536) {
    if (plan.gro) {
      const int on = 1;
      if (::setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) < 0) fail("this kernel has no UDP_GRO");
    }
    set_timeout(fd, 100);
  }

  // Until it is idle (from the time that `may_end` is true) or `stop`.
  Received run(const std::atomic<bool>& stop, const std::atomic<bool>& may_end, std::atomic<bool>& has_peer) {
    std::vector<iovec> vectors(kBatch);
    std::vector<mmsghdr> messages(kBatch);
    std::vector<sockaddr_storage> sources(kBatch);
    std::vector<std::vector<uint8_t>> controls(kBatch, std::vector<uint8_t>(64));
    uint64_t idle_since = now_ns();
    while (!stop) {
      for (size_t i = 0; i < kBatch; ++i) {
        vectors[i] = {&buffer_[i * 65536], 65536};
        messages[i].msg_hdr = {
            &sources[i], sizeof sources[i], &vectors[i], 1, controls[i].data(), controls[i].size(), 0};
      }
      const int got = ::recvmmsg(fd_, messages.data(), kBatch, MSG_WAITFORONE, nullptr);
      const uint64_t now = now_ns();
      if (got <= 0) {
        if (!may_end) idle_since = now;
        if (static_cast<double>(now - idle_since) * 1e-9 > plan_.idle) break;
        continue;
      }
      idle_since = now;
      if (!has_peer && plan_.stick) {
        if (::connect(fd_, reinterpret_cast<sockaddr*>(&sources[0]), messages[0].msg_hdr.msg_namelen) < 0) {
          fail(std::string("connect: ") + std::strerror(errno));
        }
        peer_ = sources[0];
      }
      has_peer = true;
      for (int i = 0; i < got; ++i) take(messages[static_cast<size_t>(i)], sources[static_cast<size_t>(i)], now);
    }
    if (!arrivals_.empty()) result_.highest = arrivals_[0].highest();
    for (const Arrivals& each : arrivals_) result_.flows += each.highest() > 0;
    return result_;
  }

 private:
  static constexpr size_t kBatch = 64;

  void take(const mmsghdr& message, const sockaddr_storage& source, uint64_t now) {
    if (plan_.stick && std::memcmp(&source, &peer_, message.msg_hdr.msg_namelen) != 0) ++result_.wrong_peer;
    size_t segment = message.msg_len;
    auto* header = const_cast<msghdr*>(&message.msg_hdr);
    for (cmsghdr* control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control)) {
      if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
        int size;
        std::memcpy(&size, CMSG_DATA(control), sizeof size);
        if (size > 0) segment = static_cast<size_t>(size);
      }
    }
    const auto* data = static_cast<const uint8_t*>(message.msg_hdr.msg_iov->iov_base);
    for (size_t at = 0; at < message.msg_len; at += segment) {
      const size_t size = std::min<size_t>(segment, message.msg_len - at);
      const Checked checked = check_datagram(data + at, size, plan_.verify);
      if (plan_.echo && checked.good && (checked.label & kWantsAnswer)) {
        (void)::sendto(fd_, data + at, size, 0, reinterpret_cast<const sockaddr*>(&source), header->msg_namelen);
      } else {
        judge(checked, size, now);
      }
    }
  }

  void judge(const Checked& checked, size_t size, uint64_t now) {
    if (result_.datagrams++ == 0) result_.first_at = now;
    result_.last_at = now;
    result_.bytes += size;
    if (!checked.good) ++result_.corrupted;
    if (!checked.good || !checked.labelled) return;
    const size_t flow = flow_of(checked.label);
    if (flow >= arrivals_.size()) arrivals_.resize(flow + 1);
    switch (arrivals_[flow].take(sequence_of(checked.label))) {
      case Arrivals::Kind::kNext:
        break;
      case Arrivals::Kind::kLate:
        ++result_.reordered;
        break;
      case Arrivals::Kind::kTwice:
        ++result_.duplicated;
        break;
    }
  }

  int fd_;
  ReceivePlan plan_;
  std::vector<uint8_t> buffer_;
  Received result_;
  sockaddr_storage peer_{};
  std::vector<Arrivals> arrivals_;
};

}  // namespace traffic
