// Requests to an HTTP/1.1 server, one after the other on each of some connections that are kept.
#pragma once

#include <charconv>
#include <string_view>
#include <vector>

#include "stream_socket.h"

namespace streams {

class HttpLoad {
 public:
  HttpLoad(const SocketAddress& to, size_t parallel) : visitors_(parallel) {
    for (Visitor& visitor : visitors_) {
      visitor.fd = connect_stream(to, "", 10);
      poller_.add(visitor.fd, EPOLLIN, &visitor);
    }
  }

  // Answers within so many seconds. Ends the program at one that is not a 200, or has another body than the first.
  uint64_t run(double seconds) {
    const uint64_t begin = now_ns();
    for (const Visitor& visitor : visitors_) ask(visitor);
    while (seconds_since(begin) < seconds && !stopping)
      poller_.wait(100, [&](uint32_t, void* data) { read(*static_cast<Visitor*>(data)); });
    return answers_;
  }

 private:
  struct Visitor {
    int fd = -1;
    std::string text;
  };

  static void ask(const Visitor& visitor) {
    constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: race\r\n\r\n";
    if (::send(visitor.fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(kRequest.size()))
      fail("a request was not sent");
  }

  void read(Visitor& visitor) {
    char buffer[16384];
    const ssize_t got = ::recv(visitor.fd, buffer, sizeof buffer, 0);
    if (got <= 0) fail("the server ended a connection after " + std::to_string(answers_) + " answers");
    visitor.text.append(buffer, static_cast<size_t>(got));
    constexpr std::string_view kEnd = "\r\n\r\n", kLength = "Content-Length: ";
    const size_t head = visitor.text.find(kEnd);
    if (head == std::string::npos) return;
    const size_t length = visitor.text.find(kLength);
    size_t size = 0;
    if (length > head || visitor.text.rfind("HTTP/1.1 200", 0) != 0)
      fail("not an answer: " + visitor.text.substr(0, 80));
    std::from_chars(visitor.text.data() + length + kLength.size(), visitor.text.data() + head, size);
    if (visitor.text.size() < head + kEnd.size() + size) return;
    const std::string body = visitor.text.substr(head + kEnd.size());
    if (answers_ == 0) first_ = body;
    if (body.size() != size || body != first_) fail("another body than the first: " + body.substr(0, 80));
    ++answers_;
    visitor.text.clear();
    ask(visitor);
  }

  std::vector<Visitor> visitors_;
  Poller poller_;
  uint64_t answers_ = 0;
  std::string first_;
};

}  // namespace streams
