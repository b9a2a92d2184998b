// The addresses of this host, as the kernel has them now (rtnetlink(7)).
#pragma once

#include <memory>
#include <unordered_set>

#include "io/unique_fd.h"
#include "wire/tuple.h"

namespace guise {

// One thread's.
class LocalAddresses {
 public:
  // 0, or -errno and the call that failed.
  [[nodiscard]] static int create(std::unique_ptr<LocalAddresses>& out, const char*& syscall);

  // Is readable when addresses have come or gone: call refresh() then.
  [[nodiscard]] int fd() const { return changes_.get(); }
  // Whether they are others now.
  bool refresh();

  [[nodiscard]] bool contains(const Address& address) const {
    return addresses_.contains(address) || is_loopback(address);
  }

 private:
  struct Hash {
    size_t operator()(const Address& address) const {
      uint64_t halves[2];
      std::memcpy(halves, address.bytes.data(), sizeof halves);
      return halves[0] * 0x9e3779b97f4a7c15 ^ halves[1];
    }
  };
  using Set = std::unordered_set<Address, Hash>;

  explicit LocalAddresses(UniqueFd changes) : changes_(std::move(changes)) {}
  [[nodiscard]] static int read(Set& out);
  // All of 127.0.0.0/8 is, without being any interface's.
  [[nodiscard]] static bool is_loopback(const Address& address) { return address.is_v4() && address.v4()[0] == 127; }

  const UniqueFd changes_;
  Set addresses_;
};

}  // namespace guise
