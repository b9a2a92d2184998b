// Sends labelled datagrams over one socket or many, plain in batches of sendmmsg or as UDP_SEGMENT super-datagrams.
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "datagram.h"
#include "socket.h"

namespace traffic {

struct SendPlan {
  uint64_t count = UINT64_MAX;
  double seconds = 0;                  // 0: by count
  uint64_t rate = 0;                   // datagrams a second, 0: flat out
  std::chrono::microseconds tick{50};  // of a rate: how often it sends what is due
  Sizes sizes;
  size_t burst = 64;  // datagrams of one socket before the next has its turn
  bool gso = false;
  bool verify = true;
  std::chrono::milliseconds warm{0};  // after the first datagram of each socket: what is on the way sets up its flows
};

struct Sent {
  uint64_t datagrams = 0, bytes = 0;
  double seconds = 0;
};

class Sender {
 public:
  Sender(const std::vector<int>& sockets, const SendPlan& plan)
      : sockets_(sockets),
        plan_(plan),
        buffer_(kBatch * 65536),
        vectors_(kBatch),
        messages_(kBatch),
        next_(sockets.size()) {
    for (size_t i = 0; i < kBatch; ++i) {
      messages_[i].msg_hdr = {};
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
    if (!plan.gso) return;
    const int size = static_cast<int>(plan.sizes.most);
    for (const int fd : sockets) {
      if (::setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof size) < 0) fail("this kernel has no UDP_SEGMENT");
    }
  }

  Sent run(const std::atomic<bool>& stop) {
    const size_t most = std::min(plan_.burst, plan_.gso ? std::min<size_t>(kBatch, 65507 / plan_.sizes.most) : kBatch);
    Sent sent;
    if (plan_.warm.count() > 0) {
      for (size_t flow = 0; flow < sockets_.size(); ++flow, ++sent.datagrams) sent.bytes += send(flow, 1, now_ns());
      std::this_thread::sleep_for(plan_.warm);
    }
    const uint64_t early = sent.datagrams;
    const uint64_t begin = now_ns();
    const uint64_t end = plan_.seconds > 0 ? begin + static_cast<uint64_t>(plan_.seconds * 1e9) : UINT64_MAX;
    for (size_t flow = 0; sent.datagrams < plan_.count && !stop;) {
      const uint64_t now = now_ns();
      if (now >= end) break;
      size_t burst = std::min<uint64_t>(most, plan_.count - sent.datagrams);
      if (plan_.rate > 0) {
        const double due = static_cast<double>(now - begin) * 1e-9 * static_cast<double>(plan_.rate);
        if (due < static_cast<double>(sent.datagrams - early + 1)) {
          std::this_thread::sleep_for(plan_.tick);
          continue;
        }
        burst = std::min<size_t>(burst, static_cast<uint64_t>(due) - (sent.datagrams - early));
      }
      sent.bytes += send(flow, burst, now);
      sent.datagrams += burst;
      flow = (flow + 1) % sockets_.size();
    }
    sent.seconds = static_cast<double>(now_ns() - begin) * 1e-9;
    return sent;
  }

 private:
  static constexpr size_t kBatch = 64;

  // Returns the bytes sent.
  size_t send(size_t flow, size_t count, uint64_t now) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t sequence = next_[flow]++;
      const size_t size = plan_.gso ? plan_.sizes.most : plan_.sizes.of(sequence);
      write_datagram(&buffer_[bytes], size, label_of(flow, sequence), now, plan_.verify);
      vectors_[i] = {&buffer_[bytes], size};
      bytes += size;
    }
    if (plan_.gso) {
      vectors_[0].iov_len = bytes;
      while (::sendmsg(sockets_[flow], &messages_[0].msg_hdr, 0) < 0) check_errno();
      return bytes;
    }
    for (size_t done = 0; done < count;) {
      const int result = ::sendmmsg(sockets_[flow], &messages_[done], static_cast<unsigned>(count - done), 0);
      if (result > 0)
        done += static_cast<size_t>(result);
      else
        check_errno();
    }
    return bytes;
  }

  static void check_errno() {
    if (errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED && errno != EINTR) {
      fail(std::string("send: ") + std::strerror(errno));
    }
  }

  const std::vector<int>& sockets_;
  const SendPlan plan_;
  std::vector<uint8_t> buffer_;
  std::vector<iovec> vectors_;
  std::vector<mmsghdr> messages_;
  std::vector<uint64_t> next_;  // sequence number of each socket
};

}  // namespace traffic
