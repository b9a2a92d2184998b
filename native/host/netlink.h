// Questions to the kernel about links, addresses, routes and rules (rtnetlink(7)). They need no right.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "io/unique_fd.h"

namespace guise {

// Opens a socket that hears of the changes of some groups (RTMGRP_…), 0 for one that only asks. 0, or -errno and the
// call that failed.
[[nodiscard]] int open_netlink(uint32_t groups, UniqueFd& out, const char*& syscall);

// An answer: its fixed part, and attributes behind it.
class NetlinkAnswer {
 public:
  NetlinkAnswer(uint16_t type, std::span<const uint8_t> bytes) : type_(type), bytes_(bytes) {}

  [[nodiscard]] uint16_t type() const { return type_; }
  // The fixed part, of zeros where the answer is shorter.
  template <typename Body>
  [[nodiscard]] Body body() const {
    Body body{};
    std::memcpy(&body, bytes_.data(), std::min(bytes_.size(), sizeof body));
    return body;
  }
  // The bytes of an attribute behind a fixed part of `body_size` bytes; empty where there is none.
  [[nodiscard]] std::span<const uint8_t> attribute(size_t body_size, uint16_t type) const {
    return find(bytes_.subspan(std::min(bytes_.size(), size_t{NLMSG_ALIGN(body_size)})), type);
  }
  // The same inside of another attribute.
  [[nodiscard]] static std::span<const uint8_t> find(std::span<const uint8_t> attributes, uint16_t type);

 private:
  const uint16_t type_;
  const std::span<const uint8_t> bytes_;
};

// One question: a fixed part and attributes.
class NetlinkQuestion {
 public:
  template <typename Body>
  NetlinkQuestion(uint16_t type, uint16_t flags, const Body& body) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    append(&header, sizeof header);
    append(&body, sizeof body);
  }

  void add(uint16_t type, std::span<const uint8_t> bytes);
  void add(uint16_t type, uint32_t number) {
    uint8_t bytes[sizeof number];
    std::memcpy(bytes, &number, sizeof number);
    add(type, bytes);
  }

  // Calls `take(const NetlinkAnswer&)` with each answer. 0, or -errno, that of the kernel too.
  template <typename Take>
  [[nodiscard]] int ask(Take take) {
    return ask_raw([](void* context, const NetlinkAnswer& answer) { (*static_cast<Take*>(context))(answer); }, &take);
  }

 private:
  void append(const void* data, size_t size);
  [[nodiscard]] int ask_raw(void (*take)(void*, const NetlinkAnswer&), void* context);

  std::vector<uint8_t> bytes_;
};

}  // namespace guise
