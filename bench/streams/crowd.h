// Many connections to an echo, some at a time: opened, one byte each way, and closed or kept.
#pragma once

#include <memory>
#include <vector>

#include "stream_socket.h"

namespace streams {

struct CrowdPlan {
  SocketAddress to;
  uint64_t count = UINT64_MAX;
  double seconds = 1e9;
  size_t parallel = 16;
  bool keep = false;
};

class Crowd {
 public:
  explicit Crowd(const CrowdPlan& plan) : plan_(plan) {}

  // Connections that came to their end (or are kept). Ends the program when one fails.
  uint64_t run() {
    const uint64_t begin = now_ns();
    for (size_t i = 0; i < plan_.parallel && opened_ < plan_.count; ++i) open();
    uint64_t moved = begin;
    while (underway_ > 0 && !stopping) {
      const uint64_t before = done_;
      poller_.wait(100, [&](uint32_t, void* data) {
        auto* member = static_cast<Member*>(data);
        if (!step(*member)) return;
        ++done_;
        --underway_;
        if (plan_.keep)
          kept_.emplace_back(member);
        else
          delete member;
        if (opened_ < plan_.count && seconds_since(begin) < plan_.seconds) open();
      });
      if (done_ != before) moved = now_ns();
      if (seconds_since(moved) > 30) fail("a connection moves no more, after " + std::to_string(done_));
    }
    return done_;
  }

 private:
  enum class Stage { kOpening, kAsking, kEnding };

  struct Member {
    explicit Member(int descriptor) : fd(descriptor) {}
    ~Member() { ::close(fd); }
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    int fd;
    Stage stage = Stage::kOpening;
  };

  void open() {
    ++opened_;
    ++underway_;
    auto* member = new Member(open_stream(plan_.to.storage.ss_family, SOCK_NONBLOCK));
    set_option(member->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (::connect(member->fd, plan_.to.get(), plan_.to.size) < 0 && errno != EINPROGRESS) broken("connect");
    poller_.add(member->fd, EPOLLOUT, member);
  }

  // Whether it has come to its end.
  bool step(Member& member) {
    uint8_t byte = 0x67;
    switch (member.stage) {
      case Stage::kOpening:
        if (::send(member.fd, &byte, 1, MSG_NOSIGNAL) != 1) broken("connect");
        member.stage = Stage::kAsking;
        poller_.change(member.fd, EPOLLIN, &member);
        return false;
      case Stage::kAsking:
        if (::recv(member.fd, &byte, 1, 0) != 1 || byte != 0x67) broken("the answer");
        if (plan_.keep) {
          poller_.change(member.fd, 0, &member);
          return true;
        }
        member.stage = Stage::kEnding;
        (void)::shutdown(member.fd, SHUT_WR);
        return false;
      case Stage::kEnding:
        if (::recv(member.fd, &byte, 1, 0) != 0) broken("the end");
        return true;
    }
    return false;
  }

  [[noreturn]] void broken(const char* what) const {
    fail(std::string(what) + " failed after " + std::to_string(done_) + " connections: " + std::strerror(errno));
  }

  CrowdPlan plan_;
  Poller poller_;
  uint64_t opened_ = 0, underway_ = 0, done_ = 0;
  std::vector<std::unique_ptr<Member>> kept_;
};

}  // namespace streams
