// One connection to a sink, a source or an echo.
#pragma once

#include "pattern.h"
#include "stream_socket.h"

namespace streams {

struct Transfer {
  uint64_t bytes = 0;
  double seconds = 0;
};

struct TransferPlan {
  SocketAddress to;
  std::string congestion;
  uint64_t bytes = UINT64_MAX / 2;
  double seconds = 1e9;
  double patience = 60;  // seconds in which nothing moves
};

// Sends until bytes or time are used up, and waits for the sink to say how many have come as they were sent.
inline Transfer send_stream(const TransferPlan& plan) {
  const Pattern pattern;
  const int fd = connect_stream(plan.to, plan.congestion, plan.patience);
  const uint64_t begin = now_ns();
  Transfer done;
  while (done.bytes < plan.bytes && seconds_since(begin) < plan.seconds && !stopping) {
    const size_t size = std::min<uint64_t>(Pattern::kMost, plan.bytes - done.bytes);
    const ssize_t sent = ::send(fd, pattern.at(done.bytes), size, MSG_NOSIGNAL);
    if (sent < 0) fail(std::string("send: ") + std::strerror(errno));
    done.bytes += static_cast<uint64_t>(sent);
  }
  (void)::shutdown(fd, SHUT_WR);
  uint64_t arrived = 0;
  if (::recv(fd, &arrived, sizeof arrived, MSG_WAITALL) != sizeof arrived)
    fail(std::string("no word from the sink: ") + (errno ? std::strerror(errno) : "it closed"));
  done.seconds = seconds_since(begin);
  if (arrived != done.bytes)
    fail("of " + std::to_string(done.bytes) + " bytes the first " + std::to_string(arrived) + " arrived as sent");
  ::close(fd);
  return done;
}

// Asks a source for bytes and takes them until its end, or until time is used up.
inline Transfer receive_stream(const TransferPlan& plan) {
  const Pattern pattern;
  std::vector<uint8_t> buffer(256 << 10);
  const int fd = connect_stream(plan.to, plan.congestion, plan.patience);
  if (::send(fd, &plan.bytes, sizeof plan.bytes, MSG_NOSIGNAL) != sizeof plan.bytes) fail("the request was not sent");
  const uint64_t begin = now_ns();
  Transfer done;
  ssize_t got = 1;
  while (got > 0 && seconds_since(begin) < plan.seconds && !stopping) {
    got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0) fail(std::string("recv: ") + std::strerror(errno));
    if (!pattern.matches(done.bytes, buffer.data(), static_cast<size_t>(got)))
      fail("wrong bytes after " + std::to_string(done.bytes));
    done.bytes += static_cast<uint64_t>(got);
  }
  done.seconds = seconds_since(begin);
  if (got == 0 && done.bytes != plan.bytes) fail("the stream ended after " + std::to_string(done.bytes) + " bytes");
  close_at_once(fd);
  return done;
}

// Round trips of one byte, one after the other, in microseconds from the fastest to the slowest.
inline std::vector<double> ping_stream(const SocketAddress& to, uint64_t count, double patience) {
  const int fd = connect_stream(to, "", patience);
  std::vector<double> times;
  for (uint64_t i = 0; i < count && !stopping; ++i) {
    const auto byte = static_cast<uint8_t>(i);
    uint8_t answer = 0;
    const uint64_t begin = now_ns();
    if (::send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || ::recv(fd, &answer, 1, 0) != 1 || answer != byte)
      fail("no answer, or a wrong one, to byte " + std::to_string(i));
    times.push_back(seconds_since(begin) * 1e6);
  }
  ::close(fd);
  std::sort(times.begin(), times.end());
  return times;
}

}  // namespace streams
