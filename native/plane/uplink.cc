#include "plane/uplink.h"

#include <netinet/udp.h>

#include <cerrno>
#include <cstring>

namespace guise {
namespace {

Endpoint to_endpoint(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return {Address::from_v4(reinterpret_cast<const uint8_t*>(&v4.sin_addr)), ntohs(v4.sin_port)};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return {Address::from_v6(v6.sin6_addr.s6_addr), ntohs(v6.sin6_port)};
}

// The address that the datagram was sent to.
Address destination_of(const msghdr& message) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(const_cast<msghdr*>(&message), header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      return Address::from_v4(reinterpret_cast<const uint8_t*>(&info.ipi_addr));
    }
    if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      return Address::from_v6(info.ipi6_addr.s6_addr);
    }
  }
  return {};
}

// The size of the datagrams that UDP_GRO merged into one message; the whole message when it merged none.
size_t segment_size_of(const msghdr& message, size_t size) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(const_cast<msghdr*>(&message), header)) {
    if (header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_GRO) {
      int merged;
      std::memcpy(&merged, CMSG_DATA(header), sizeof merged);
      if (merged > 0 && static_cast<size_t>(merged) < size) return static_cast<size_t>(merged);
    }
  }
  return size;
}

}  // namespace

Uplink::Uplink(WorkerContext& context) : context_(context), buffers_(new uint8_t[kBatch * kMessageSize]) {
  for (size_t i = 0; i < kBatch; ++i) {
    vectors_[i] = {&buffers_[i * kMessageSize], kMessageSize};
    messages_[i] = {};
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

void Uplink::prepare(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    messages_[i].msg_hdr.msg_name = &sources_[i];
    messages_[i].msg_hdr.msg_namelen = sizeof sources_[i];
    messages_[i].msg_hdr.msg_control = control_[i].data();
    messages_[i].msg_hdr.msg_controllen = control_[i].size();
  }
}

void Uplink::receive(UdpPort& port) {
  prepare(batch_);
  const int received = ::recvmmsg(port.fd(), messages_.data(), static_cast<unsigned>(batch_), MSG_DONTWAIT, nullptr);
  if (received <= 0) return;  // EAGAIN, or ECONNREFUSED: a backend that is down closes nothing
  size_t total = 0;
  for (size_t i = 0; i < static_cast<size_t>(received); ++i) {
    const msghdr& message = messages_[i].msg_hdr;
    const size_t size = messages_[i].msg_len;
    total += size;
    if (size == 0) {
      context_.counters.drop(DropReason::kEmptyDatagram);
      continue;
    }
    Application* application = port.connected ? port.only_application : application_of(port, message);
    if (!application) continue;
    const std::span bytes(&buffers_[i * kMessageSize], size);
    const size_t segment_size = segment_size_of(message, size);
    Flow* flow = application->flow.get();
    if (flow && application->pending.empty() && flow->window_open.load(std::memory_order_relaxed)) {
      send(*flow, bytes, segment_size);
    } else {
      queue(*application, bytes, segment_size);
      if (flow) release(*application);
    }
  }
  flush();
  // Merged messages are large: read fewer at a time, so that they are still in the cache when they are sent.
  batch_ = total / static_cast<size_t>(received) > 4096 ? 8 : kBatch;
}

Application* Uplink::application_of(UdpPort& port, const msghdr& message) {
  Tuple tuple;
  tuple.remote = to_endpoint(*static_cast<const sockaddr_storage*>(message.msg_name));
  tuple.local.address = destination_of(message);
  tuple.local.port = static_cast<uint16_t>(port.port);
  Application* application = context_.applications.find(tuple);
  return application ? application : admit(port, tuple);
}

Application* Uplink::admit(UdpPort& port, const Tuple& tuple) {
  if (context_.applications.size() >= context_.policy.max_applications) {
    context_.counters.drop(DropReason::kApplicationsFull);
    return nullptr;
  }
  auto application = std::make_shared<Application>(context_.counters.engine());
  application->tuple = tuple;
  application->id = uint32_t{context_.index} << 24 | (next_application_id_++ & 0xffffff);
  application->port = port.shared_from_this();
  EventRecord record;
  record.type = EventType::kApplication;
  record.worker = context_.index;
  record.id = application->id;
  record.detail = port.listener;
  record.set_tuple(tuple);
  // When JavaScript cannot be told, the next datagram tries again.
  if (!context_.emit(record)) return nullptr;
  Application* raw = application.get();
  context_.applications_by_id.emplace(application->id, raw);
  context_.applications.insert(std::move(application));
  return raw;
}

void Uplink::queue(Application& application, std::span<const uint8_t> bytes, size_t segment_size) {
  for (size_t at = 0; at < bytes.size(); at += segment_size) {
    const auto datagram = bytes.subspan(at, std::min(segment_size, bytes.size() - at));
    for (; !application.pending.empty() && !context_.has_room(application.pending, datagram.size());
         application.pending.pop()) {
      context_.counters.drop(DropReason::kPendingFull);
    }
    if (context_.has_room(application.pending, datagram.size()))
      application.pending.push(datagram);
    else
      context_.counters.drop(DropReason::kPendingFull);
  }
}

// A SYN-ACK's window is not scaled, so a router with strict conntrack takes more than 64 KiB in flight for INVALID
// until it sees the peer's first ACK with a scaled one (net/netfilter/nf_conntrack_proto_tcp.c, tcp_in_window).
void Uplink::release(Application& application) {
  Flow& flow = *application.flow;
  while (!application.pending.empty()) {
    const Datagram& datagram = application.pending.front();
    if (!flow.window_open.load(std::memory_order_relaxed)) {
      const uint32_t end = flow.send_next.load(std::memory_order_relaxed) + static_cast<uint32_t>(datagram.size());
      if (static_cast<int32_t>(end - flow.initial_window_end) > 0) break;
    }
    send(flow, datagram, datagram.size());
    flush();
    application.pending.pop();
  }
}

void Uplink::send(Flow& flow, std::span<const uint8_t> bytes, size_t segment_size) {
  if (std::min(segment_size, bytes.size()) > flow.max_payload) {
    const size_t datagrams = (bytes.size() + segment_size - 1) / segment_size;
    context_.counters.drop(DropReason::kOversize, datagrams);
    count(flow.counters.sent_drops, datagrams);
    return;
  }
  if (flow_ != &flow) {
    flush();
    flow_ = &flow;
    run_.limit_bytes(kMaxPacket - flow.header.size());
  }
  while (!bytes.empty()) {
    const size_t taken = run_.add(bytes.data(), bytes.size(), segment_size);
    bytes = bytes.subspan(taken);
    if (taken == 0) {
      flush();
      flow_ = &flow;
    }
  }
}

void Uplink::flush() {
  if (!flow_) return;
  Flow& flow = *flow_;
  flow_ = nullptr;
  if (run_.empty()) return;
  const uint32_t seq = flow.take_sequence(run_.bytes());
  count(flow.counters.sent_datagrams, run_.segments());
  count(flow.counters.sent_bytes, run_.bytes());
  count(flow.counters.sent_batches);
  if (context_.device_of(flow).write_run(flow.header, seq, flow.acknowledge(), flow.push, run_) != 0) {
    count(flow.counters.sent_drops, run_.segments());
  }
  run_.clear();
}

}  // namespace guise
