#include "io/segment_filter.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "wire/bytes.h"
#include "wire/headers.h"

namespace guise {
namespace {

using Program = std::vector<sock_filter>;

// Offsets count from the IP header, whatever the link puts in front of it.
constexpr uint32_t at(size_t offset) { return static_cast<uint32_t>(SKF_NET_OFF) + static_cast<uint32_t>(offset); }

constexpr uint32_t kPass = UINT32_MAX;  // all of its bytes

void load(Program& program, uint16_t size, size_t offset) {
  program.push_back(BPF_STMT(BPF_LD | size | BPF_ABS, at(offset)));
}
void answer(Program& program, uint32_t bytes) { program.push_back(BPF_STMT(BPF_RET | BPF_K, bytes)); }
// The next instruction is for when the comparison holds; for when it does not.
void when(Program& program, uint16_t comparison, uint32_t value) {
  program.push_back(BPF_JUMP(static_cast<uint16_t>(BPF_JMP | comparison | BPF_K), value, 0, 1));
}
void unless(Program& program, uint16_t comparison, uint32_t value) {
  program.push_back(BPF_JUMP(static_cast<uint16_t>(BPF_JMP | comparison | BPF_K), value, 1, 0));
}

// Loads a port of the TCP header, which begins at the register X.
void load_port(Program& program, size_t offset) { program.push_back(BPF_STMT(BPF_LD | BPF_H | BPF_IND, at(offset))); }

void pass_ports(Program& program, const SegmentInterests& interests) {
  if (interests.ports.empty()) return;
  load_port(program, tcp::kDestinationPort);
  for (const uint16_t port : interests.ports) {
    when(program, BPF_JEQ, port);
    answer(program, kPass);
  }
}

void pass_remotes(Program& program, const SegmentInterests& interests, int family) {
  for (const Endpoint& remote : interests.remotes) {
    if (remote.address.is_v4() != (family == AF_INET)) continue;
    // Each comparison that fails jumps behind the last.
    const size_t words = family == AF_INET ? 1 : 4;
    const uint8_t* bytes = family == AF_INET ? remote.address.v4() : remote.address.bytes.data();
    const size_t source = family == AF_INET ? size_t{ipv4::kSource} : size_t{ipv6::kSource};
    const auto to_end = [&](size_t left) { return static_cast<uint8_t>(2 * left + 2 + 1); };
    for (size_t i = 0; i < words; ++i) {
      load(program, BPF_W, source + 4 * i);
      program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, read32(bytes + 4 * i), 0, to_end(words - i - 1)));
    }
    load_port(program, tcp::kSourcePort);
    when(program, BPF_JEQ, remote.port);
    answer(program, kPass);
  }
}

// Passes an error about a TCP segment, whose own addresses and ports the engine compares: it begins at the register X.
// Its type and the protocol that it quotes have to be these.
void pass_error(Program& program, std::initializer_list<uint8_t> types, size_t quoted_protocol) {
  const auto load_byte = [&program](size_t offset) {
    program.push_back(BPF_STMT(BPF_LD | BPF_B | BPF_IND, at(offset)));
  };
  load_byte(icmp::kHeader + quoted_protocol);
  unless(program, BPF_JEQ, kProtocolTcp);
  answer(program, 0);
  load_byte(icmp::kType);
  for (const uint8_t type : types) {
    when(program, BPF_JEQ, type);
    answer(program, kPass);
  }
  answer(program, 0);
}

// Puts `body` where it is run when the loaded value is `value`, and jumped over else.
void when_all(Program& program, uint32_t value, const Program& body) {
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, static_cast<uint8_t>(body.size())));
  program.insert(program.end(), body.begin(), body.end());
}

// Leaves the size of the IP header in the register X, and has answered what is not TCP, and fragments of TCP.
void sort_ipv4(Program& program) {
  Program error;
  load(error, BPF_H, ipv4::kFragment);
  when(error, BPF_JSET, ipv4::kMoreOrOffset);
  answer(error, 0);
  error.push_back(BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, at(ipv4::kVersionAndLength)));
  pass_error(error, {icmp::kUnreachable4}, ipv4::kProtocol);
  load(program, BPF_B, ipv4::kProtocol);
  when_all(program, icmp::kProtocol4, error);
  unless(program, BPF_JEQ, kProtocolTcp);
  answer(program, 0);
  load(program, BPF_H, ipv4::kFragment);
  when(program, BPF_JSET, ipv4::kMoreOrOffset);
  answer(program, kPass);
  program.push_back(BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, at(ipv4::kVersionAndLength)));
}

// Extension headers other than that of fragments are seen from nobody who sends us TCP: they do not pass.
void sort_ipv6(Program& program) {
  Program error;
  error.push_back(BPF_STMT(BPF_LDX | BPF_IMM, ipv6::kHeader));
  pass_error(error, {icmp::kUnreachable6, icmp::kTooBig6}, ipv6::kNextHeader);
  load(program, BPF_B, ipv6::kNextHeader);
  when_all(program, icmp::kProtocol6, error);
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kProtocolTcp, 6, 0));  // to the last of these
  unless(program, BPF_JEQ, ipv6::kFragment);
  answer(program, 0);
  load(program, BPF_B, ipv6::kHeader + ipv6::kExtensionNext);
  when(program, BPF_JEQ, kProtocolTcp);
  answer(program, kPass);
  answer(program, 0);
  program.push_back(BPF_STMT(BPF_LDX | BPF_IMM, ipv6::kHeader));
}

// What comes before the ports are looked at.
Program sort(const FilterScope& scope) {
  Program program;
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0));
  when(program, BPF_JGT, scope.most);
  answer(program, 0);
  unless(program, BPF_JGE, scope.least);
  answer(program, 0);
  if (scope.family == AF_INET) {
    sort_ipv4(program);
  } else {
    sort_ipv6(program);
  }
  return program;
}

}  // namespace

Program segment_filter(const SegmentInterests& interests, const FilterScope& scope) {
  Program program = sort(scope);
  pass_ports(program, interests);
  pass_remotes(program, interests, scope.family);
  answer(program, 0);
  return program.size() > BPF_MAXINSNS ? wide_filter(scope) : program;
}

Program wide_filter(const FilterScope& scope) {
  Program program = sort(scope);
  answer(program, kPass);
  return program;
}

Program closed_filter() { return {BPF_STMT(BPF_RET | BPF_K, 0)}; }

int attach_filter(int fd, std::span<const sock_filter> program) {
  const sock_fprog all{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all) < 0 ? -errno : 0;
}

}  // namespace guise
