#include "binding/packet_port_object.h"

#include <fcntl.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "binding/arguments.h"
#include "binding/shared_memory.h"
#include "io/tun_device.h"
#include "wire/bytes.h"

namespace guise {
namespace {

using namespace arguments;

constexpr uint32_t kMostRows = 1024;
constexpr uint32_t kLeastMtu = 68;      // RFC 791 §3.2: what every link carries
constexpr uint32_t kDefaultMtu = 1500;  // where there is no interface to ask
constexpr uint32_t kGigabyte = 1 << 30, kHour = 3'600'000;
constexpr uint32_t kMostFragments = 8192;  // more of 8 bytes no packet has

// The bytes of a Uint8Array. The quick way to what arguments::bytes() gives.
bool bytes_of(napi_env env, napi_value value, std::span<uint8_t>& out) {
  napi_typedarray_type type{};
  size_t size = 0;
  void* data = nullptr;
  const napi_status status = napi_get_typedarray_info(env, value, &type, &size, &data, nullptr, nullptr);
  if (status != napi_ok || type != napi_uint8_array) return false;
  out = {static_cast<uint8_t*>(data), size};
  return true;
}

// Chunks of a list of JavaScript's.
class ListedChunks final : public ChunkSource {
 public:
  ListedChunks(napi_env env, napi_value list, uint32_t first, size_t offset)
      : env_(env), list_(list), at_(first), offset_(offset) {}

  bool next(std::span<const uint8_t>& chunk) override {
    napi_value value = nullptr;
    std::span<uint8_t> all;
    if (napi_get_element(env_, list_, at_++, &value) != napi_ok || !bytes_of(env_, value, all)) return false;
    const size_t skipped = std::exchange(offset_, 0);
    if (skipped > all.size()) return false;
    chunk = all.subspan(skipped);
    return true;
  }

 private:
  napi_env__* const env_;
  napi_value__* const list_;
  uint32_t at_;
  size_t offset_;
};

void check_family(Napi::Env env, const Address& one, const Address& other, const char* name) {
  if (one.is_v4() != other.is_v4()) refuse<Napi::RangeError>(env, name, "of two families", "addresses of one");
}

// Local address, remote address, local port, remote port; these big-endian.
Tuple tuple_of(const Napi::Value& value) {
  const std::span<const uint8_t> all = bytes(value, "tuple", kTupleBytes);
  const uint8_t* ports = &all[2 * kAddressBytes];
  const Tuple tuple{{address_at(all), read16(ports)}, {address_at(all.subspan(kAddressBytes)), read16(ports + 2)}};
  check_family(value.Env(), tuple.local.address, tuple.remote.address, "tuple");
  return tuple;
}

uint8_t protocol_of(const Napi::Value& value) {
  const uint32_t protocol = whole_number(value, "protocol", kProtocolTcp, kProtocolUdp);
  if (protocol != kProtocolTcp && protocol != kProtocolUdp) {
    refuse<Napi::RangeError>(value.Env(), "protocol", std::to_string(protocol), "6 or 17");
  }
  return static_cast<uint8_t>(protocol);
}

// 32 bits, signed or not.
uint32_t word_of(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) refuse<Napi::TypeError>(value.Env(), name, kind_of(value), "a number");
  return static_cast<uint32_t>(value.As<Napi::Number>().Int64Value());
}

// A number that the caller has computed: no sentence is made before it is wrong.
uint32_t quick_number(const Napi::Value& value, const char* name, uint32_t least, uint32_t most) {
  double number = -1;
  if (napi_get_value_double(value.Env(), value, &number) == napi_ok && number >= least && number <= most) {
    const auto whole = static_cast<uint32_t>(number);
    if (whole == number) return whole;
  }
  return whole_number(value, name, least, most);
}

Reassembly::Limits fragment_limits(const Napi::Object& options) {
  return {.bytes = whole_number(options.Get("fragmentBytes"), "fragmentBytes", 0, kGigabyte),
          .fragments = whole_number(options.Get("fragmentsOfPacket"), "fragmentsOfPacket", 1, kMostFragments),
          .wait4 = whole_number(options.Get("fragmentWait4"), "fragmentWait4", 0, kHour),
          .wait6 = whole_number(options.Get("fragmentWait6"), "fragmentWait6", 0, kHour)};
}

}  // namespace

Napi::Function PacketPortObject::Define(Napi::Env env) {
  return DefineClass(env, "PacketPort",
                     {
                         InstanceMethod<&PacketPortObject::Open>("open"),
                         InstanceMethod<&PacketPortObject::Memory>("memory"),
                         InstanceMethod<&PacketPortObject::Watch>("watch"),
                         InstanceMethod<&PacketPortObject::Reference>("reference"),
                         InstanceMethod<&PacketPortObject::Read>("read"),
                         InstanceMethod<&PacketPortObject::WriteSegments>("writeSegments"),
                         InstanceMethod<&PacketPortObject::WriteData>("writeData"),
                         InstanceMethod<&PacketPortObject::Answer>("answer"),
                         InstanceMethod<&PacketPortObject::Attach>("attach"),
                         InstanceMethod<&PacketPortObject::AttachRow>("attachRow"),
                         InstanceMethod<&PacketPortObject::Find>("find"),
                         InstanceMethod<&PacketPortObject::Detach>("detach"),
                         InstanceMethod<&PacketPortObject::HashRow>("hashRow"),
                         InstanceMethod<&PacketPortObject::HashTuple>("hashTuple"),
                         InstanceMethod<&PacketPortObject::WriteUdp>("writeUdp"),
                         InstanceMethod<&PacketPortObject::WriteUdpFlow>("writeUdpFlow"),
                         InstanceMethod<&PacketPortObject::WritePacket>("writePacket"),
                         InstanceMethod<&PacketPortObject::Refresh>("refresh"),
                         InstanceMethod<&PacketPortObject::Feed>("feed"),
                         InstanceMethod<&PacketPortObject::Take>("take"),
                         InstanceMethod<&PacketPortObject::Close>("close"),
                         InstanceAccessor<&PacketPortObject::LastSyscall>("lastSyscall"),
                     });
}

void PacketPortObject::Shut() {
  readiness_.stop();
  port_.reset();
  queues_ = nullptr;
  fd_ = -1;
}

template <typename Call>
Napi::Value PacketPortObject::With(const Napi::CallbackInfo& info, Call call) {
  if (!port_) return Napi::Number::New(info.Env(), -EBADF);
  if constexpr (std::is_convertible_v<decltype(call(*port_)), Napi::Value>) {
    return call(*port_);
  } else if constexpr (std::is_void_v<decltype(call(*port_))>) {
    call(*port_);
    return Napi::Number::New(info.Env(), 0);
  } else {
    return Napi::Number::New(info.Env(), static_cast<double>(call(*port_)));
  }
}

size_t PacketPortObject::Row(const Napi::Value& value) const {
  if (port_->rows() == 0) refuse<Napi::RangeError>(value.Env(), "row", "of no batch", "one of the batch that was read");
  return quick_number(value, "row", 0, static_cast<uint32_t>(port_->rows()) - 1);
}

size_t PacketPortObject::Mtu(const Napi::Value& value) const {
  const uint32_t given = quick_number(value, "mtu", 0, kAny16);
  if (given == 0) return port_->mtu();
  if (given < kLeastMtu) return whole_number(value, "mtu", kLeastMtu, kAny16);
  return given;
}

// How many packets wait in a port without a device.
void PacketPortObject::ShareQueues() {
  if (!queues_) return;
  row::State& state = port_->memory()->state;
  state.fed = static_cast<int32_t>(queues_->fed());
  state.written = static_cast<int32_t>(queues_->written());
}

// (options): the descriptor in it is the port's from here on, also when it cannot be opened.
Napi::Value PacketPortObject::Open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object object = arguments::object(info[0], "options");
  if (port_) return Napi::Number::New(env, -EALREADY);
  const Napi::Value descriptor = object.Get("descriptor");
  const bool has_device = !descriptor.IsNumber() || descriptor.As<Napi::Number>().DoubleValue() != -1;
  const bool virtio_header = boolean(object.Get("virtioHeader"), "virtioHeader");
  const uint32_t most_bytes = whole_number(object.Get("queueBytes"), "queueBytes", 0, kGigabyte);
  PacketPort::Options options;
  options.segmentation = boolean(object.Get("segmentation"), "segmentation");
  options.rows = whole_number(object.Get("rows"), "rows", 1, kMostRows);
  options.fragments = fragment_limits(object);
  const uint32_t mtu = whole_number(object.Get("mtu"), "mtu", 0, kAny16);
  if (mtu != 0) fixed_mtu_ = whole_number(object.Get("mtu"), "mtu", kLeastMtu, kAny16);
  if (has_device) {
    const int fd = static_cast<int>(whole_number(descriptor, "descriptor", 0, INT32_MAX));
    last_syscall_ = "fcntl";
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return Napi::Number::New(env, -errno);
    options.device = std::make_unique<DescriptorPort>(UniqueFd(fd), virtio_header);
    if (::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return Napi::Number::New(env, -errno);
    fd_ = fd;
  } else {
    auto queues = std::make_unique<MemoryPort>(most_bytes);
    queues_ = queues.get();
    options.device = std::move(queues);
  }
  last_syscall_ = "getrandom";
  if (::getrandom(&options.keys, sizeof options.keys, 0) != sizeof options.keys) {
    return Napi::Number::New(env, -errno);
  }
  options.mtu = kDefaultMtu;
  port_ = std::make_unique<PacketPort>(std::move(options));
  return Refresh(info);
}

// {incoming, outgoing, state, counters}: ArrayBuffers.
Napi::Value PacketPortObject::Memory(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) -> Napi::Value {
    const auto& memory = port.memory();
    const Napi::Env env = info.Env();
    auto all = Napi::Object::New(env);
    const auto share = [&](const char* name, void* data, size_t size) {
      all.Set(name, view_of(env, data, size, memory));
    };
    share("incoming", memory->incoming.data(), memory->incoming.size() * sizeof(int32_t));
    share("outgoing", memory->outgoing.data(), memory->outgoing.size() * sizeof(int32_t));
    share("state", &memory->state, sizeof memory->state);
    share("counters", &memory->counters, sizeof memory->counters);
    return Napi::Value(env, all);
  });
}

Napi::Value PacketPortObject::Watch(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort&) {
    last_syscall_ = "epoll_ctl";
    return readiness_.start(info.Env(), fd_, function(info[0], "readable"));
  });
}

Napi::Value PacketPortObject::Reference(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort&) { readiness_.reference(boolean(info[0], "on")); });
}

// (slab, at)
Napi::Value PacketPortObject::Read(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) {
    std::span<uint8_t> slab;
    if (!bytes_of(info.Env(), info[0], slab)) bytes(info[0], "slab");
    const int rows = port.read(slab, quick_number(info[1], "at", 0, INT32_MAX));
    ShareQueues();
    return rows;
  });
}

Napi::Value PacketPortObject::WriteSegments(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) {
    const int refused = port.write_segments(quick_number(info[0], "count", 0, row::kOutgoingRows));
    ShareQueues();
    return refused;
  });
}

// (row, chunks, first, offset, size, segmentSize)
Napi::Value PacketPortObject::WriteData(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) {
    const uint32_t row = quick_number(info[0], "row", 0, row::kOutgoingRows - 1);
    if (!info[1].IsArray()) list(info[1], "chunks", 0, kAny32);
    ListedChunks chunks(info.Env(), info[1], quick_number(info[2], "first", 0, kAny32),
                        quick_number(info[3], "offset", 0, kAny32));
    const uint32_t size = quick_number(info[4], "size", 1, INT32_MAX);
    const int64_t left = port.write_data(row, chunks, size, quick_number(info[5], "segmentSize", 1, kAny16));
    ShareQueues();
    return left;
  });
}

Napi::Value PacketPortObject::Answer(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) {
    const int error = port.answer(Row(info[0]));
    ShareQueues();
    return error;
  });
}

// (protocol, tuple)
Napi::Value PacketPortObject::Attach(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) { return port.attach(protocol_of(info[0]), tuple_of(info[1])); });
}

Napi::Value PacketPortObject::Find(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) { return port.find(protocol_of(info[0]), tuple_of(info[1])); });
}

Napi::Value PacketPortObject::AttachRow(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) { return port.attach_row(Row(info[0])); });
}

Napi::Value PacketPortObject::Detach(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) { port.detach(static_cast<int32_t>(word_of(info[0], "flow"))); });
}

// (row, word)
Napi::Value PacketPortObject::HashRow(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) { return port.hash_row(Row(info[0]), word_of(info[1], "word")); });
}

// (tuple, word)
Napi::Value PacketPortObject::HashTuple(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) { return port.hash(tuple_of(info[0]), word_of(info[1], "word")); });
}

// (tuple, payload, mtu)
Napi::Value PacketPortObject::WriteUdp(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) {
    const int error = port.write_udp(tuple_of(info[0]), bytes(info[1], "payload"), Mtu(info[2]));
    ShareQueues();
    return error;
  });
}

// (flow, payload, mtu)
Napi::Value PacketPortObject::WriteUdpFlow(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) {
    const PortFlow* flow = port.flow(static_cast<int32_t>(word_of(info[0], "flow")));
    if (!flow || flow->protocol != kProtocolUdp) return -EBADF;
    const int error = port.write_udp(flow->tuple, bytes(info[1], "payload"), Mtu(info[2]));
    ShareQueues();
    return error;
  });
}

// (protocol, addresses, payload, hopLimit, checksumAt or -1)
Napi::Value PacketPortObject::WritePacket(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) {
    const std::span<const uint8_t> addresses = bytes(info[1], "addresses", 2 * kAddressBytes);
    PacketPort::Packet packet{};
    packet.protocol = static_cast<uint8_t>(whole_number(info[0], "protocol", 0, UINT8_MAX));
    packet.local = address_at(addresses);
    packet.remote = address_at(addresses.subspan(kAddressBytes));
    check_family(info.Env(), packet.local, packet.remote, "addresses");
    packet.payload = bytes(info[2], "payload");
    packet.hop_limit = static_cast<uint8_t>(whole_number(info[3], "hopLimit", 0, UINT8_MAX));
    packet.checksum_at = PacketSink::kNoChecksum;
    if (!info[4].IsNumber() || info[4].As<Napi::Number>().Int64Value() != -1) {
      const auto size = static_cast<uint32_t>(std::min(packet.payload.size(), kMaxPacket));
      if (size < 2) refuse<Napi::RangeError>(info.Env(), "payload", "too short", "one with room for a checksum");
      packet.checksum_at = whole_number(info[4], "checksumAt", 0, size - 2);
      if (packet.checksum_at % 2 != 0) refuse<Napi::RangeError>(info.Env(), "checksumAt", "odd", "an even offset");
    }
    const int error = port.write_packet(packet);
    ShareQueues();
    return error;
  });
}

Napi::Value PacketPortObject::Refresh(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) {
    if (fixed_mtu_ != 0) return port.set_mtu(fixed_mtu_);
    const int mtu = fd_ >= 0 ? mtu_of_tun(fd_) : -1;
    if (mtu > 0) port.set_mtu(std::min<size_t>(static_cast<size_t>(mtu), kMaxPacket));
  });
}

Napi::Value PacketPortObject::Feed(const Napi::CallbackInfo& info) {
  return With(info, [&](PacketPort& port) {
    const std::span<const uint8_t> packet = bytes(info[0], "packet");
    if (!queues_) return -ENOTSUP;
    if (!queues_->feed(packet)) ++port.memory()->counters.overrun;
    ShareQueues();
    return 0;
  });
}

// A packet, or undefined when none waits.
Napi::Value PacketPortObject::Take(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!queues_ || queues_->written() == 0) return env.Undefined();
  const std::span<const uint8_t> packet = queues_->front();
  auto taken = Napi::Uint8Array::New(env, packet.size());
  std::memcpy(taken.Data(), packet.data(), packet.size());
  queues_->pop();
  ShareQueues();
  return Napi::Value(env, taken);
}

void PacketPortObject::Close(const Napi::CallbackInfo&) { Shut(); }

Napi::Value PacketPortObject::LastSyscall(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), last_syscall_);
}

}  // namespace guise
