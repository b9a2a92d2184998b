#include "host/ruleset_generation.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "io/unique_fd.h"
#include "wire/bytes.h"

namespace guise {
int64_t ruleset_generation() {
  const UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  struct {
    nlmsghdr header;
    nfgenmsg body;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  if (::send(fd.get(), &request, sizeof request, 0) < 0) return -errno;
  std::array<uint8_t, 256> answer;
  const ssize_t size = ::recv(fd.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  if (size < 0) return -errno;
  const auto end = static_cast<size_t>(size);
  if (end < NLMSG_HDRLEN + sizeof(int)) return -EBADMSG;
  if (read_at<nlmsghdr>(answer.data()).nlmsg_type == NLMSG_ERROR) return read_at<int>(&answer[NLMSG_HDRLEN]);
  for (size_t at = NLMSG_LENGTH(sizeof(nfgenmsg)); at + NLA_HDRLEN + sizeof(uint32_t) <= end;) {
    const auto attribute = read_at<nlattr>(&answer[at]);
    if (attribute.nla_type == NFTA_GEN_ID) return ntohl(read_at<uint32_t>(&answer[at + NLA_HDRLEN]));
    at += std::max<size_t>(NLA_ALIGN(attribute.nla_len), NLA_HDRLEN);
  }
  return -EBADMSG;
}

}  // namespace guise
