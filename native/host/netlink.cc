#include "host/netlink.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "wire/bytes.h"

namespace guise {
namespace {

// What the kernel puts into one message of a dump at most (NLMSG_GOODSIZE, and twice that since 3.16).
constexpr size_t kAnswerSize = 32 << 10;

}  // namespace

int open_netlink(uint32_t groups, UniqueFd& out, const char*& syscall) {
  syscall = "socket";
  out = UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (out.get() < 0) return -errno;
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  local.nl_groups = groups;
  syscall = "bind";
  return ::bind(out.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) < 0 ? -errno : 0;
}

std::span<const uint8_t> NetlinkAnswer::find(std::span<const uint8_t> attributes, uint16_t type) {
  while (attributes.size() >= sizeof(rtattr)) {
    const auto attribute = read_at<rtattr>(attributes.data());
    if (attribute.rta_len < sizeof(rtattr) || attribute.rta_len > attributes.size()) break;
    if ((attribute.rta_type & NLA_TYPE_MASK) == type) {
      return attributes.subspan(RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0));
    }
    attributes = attributes.subspan(std::min<size_t>(RTA_ALIGN(attribute.rta_len), attributes.size()));
  }
  return {};
}

void NetlinkQuestion::append(const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  bytes_.insert(bytes_.end(), bytes, bytes + size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

void NetlinkQuestion::add(uint16_t type, std::span<const uint8_t> bytes) {
  const rtattr attribute{.rta_len = static_cast<uint16_t>(RTA_LENGTH(bytes.size())), .rta_type = type};
  append(&attribute, sizeof attribute);
  append(bytes.data(), bytes.size());
}

int NetlinkQuestion::ask_raw(void (*take)(void*, const NetlinkAnswer&), void* context) {
  const auto size = static_cast<uint32_t>(bytes_.size());
  std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &size, sizeof size);
  UniqueFd fd;
  const char* syscall = "";
  if (const int error = open_netlink(0, fd, syscall)) return error;
  if (::send(fd.get(), bytes_.data(), bytes_.size(), 0) < 0) return -errno;
  std::vector<uint8_t> answer(kAnswerSize);
  for (;;) {
    const ssize_t got = ::recv(fd.get(), answer.data(), answer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -errno;
    const std::span<const uint8_t> all(answer.data(), static_cast<size_t>(got));
    for (size_t at = 0; at + sizeof(nlmsghdr) <= all.size();) {
      const auto header = read_at<nlmsghdr>(&all[at]);
      if (header.nlmsg_len < sizeof(nlmsghdr) || at + header.nlmsg_len > all.size()) return -EBADMSG;
      if (header.nlmsg_type == NLMSG_DONE) return 0;
      if (header.nlmsg_type == NLMSG_ERROR) return read_at<int>(&all[at + NLMSG_HDRLEN]);
      take(context, NetlinkAnswer(header.nlmsg_type, all.subspan(at + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN)));
      if (!(header.nlmsg_flags & NLM_F_MULTI)) return 0;
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }
}

}  // namespace guise
