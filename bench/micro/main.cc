// The steps of the data path one by one, each repeated: for instruction counts under callgrind, or for a
// clock.
#include <fcntl.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/descriptor_device.h"
#include "io/segment_run.h"
#include "plane/event_queue.h"
#include "plane/syn_cookie.h"
#include "plane/verdict.h"
#include "wire/checksum.h"
#include "wire/segment.h"
#include "wire/tuple_table.h"

using namespace guise;

namespace {

constexpr BatchLimits kOnePacket{1, kLargestRead};

constexpr size_t kDatagram = 1400;
constexpr size_t kBatch = 46;  // datagrams of 1400 bytes in one super-segment

volatile uint64_t sink;  // keeps results alive

Tuple tuple_of(uint16_t port) {
  const uint8_t here[] = {192, 168, 200, 2}, there[] = {203, 0, 113, 7};
  return {{Address::from_v4(here), port}, {Address::from_v4(there), 443}};
}

// An IP packet with `bytes` of payload from the peer of tuple_of(40000), checksums right.
std::vector<uint8_t> packet_of(size_t bytes) {
  const Tuple tuple = tuple_of(40000);
  const SegmentHeader header({tuple.remote, tuple.local});
  std::vector<uint8_t> packet(header.size() + bytes, 0x5a);
  header.write(packet.data(), 1, 1, kAck, {}, bytes);
  ChecksumSum sum;
  sum.add(packet.data() + header.ip_size(), packet.size() - header.ip_size());
  const uint16_t checksum = sum.checksum();
  std::memcpy(packet.data() + header.ip_size() + 16, &checksum, 2);
  return packet;
}

struct Entry {
  Tuple tuple;
};

MappedMemory map(size_t size) {
  MappedMemory memory;
  if (MappedMemory::create(size, memory) != 0) std::abort();
  return memory;
}

// Each case prepares itself, and returns what is to be repeated.
using Case = std::function<std::function<void()>()>;

const std::map<std::string, Case> kCases = {
    {"checksum of 1400 bytes",
     [] {
       auto data = std::make_shared<std::vector<uint8_t>>(kDatagram, 0x5a);
       return [data] {
         ChecksumSum sum;
         sum.add(data->data(), data->size());
         sink = sum.checksum();
       };
     }},
    {"parse of a segment, checksum verified",
     [] {
       auto packet = std::make_shared<std::vector<uint8_t>>(packet_of(kDatagram));
       return [packet] {
         SegmentView view;
         if (parse_segment(*packet, nullptr, view) != ParseError::kNone) std::abort();
         sink = view.payload.size();
       };
     }},
    {"parse of a super-segment",
     [] {
       auto packet = std::make_shared<std::vector<uint8_t>>(packet_of(kBatch * kDatagram));
       VirtioNetHeader offload;
       offload.flags = VirtioNetHeader::kDataValid;
       offload.gso_type = VirtioNetHeader::kGsoTcp4;
       offload.gso_size = kDatagram;
       return [packet, offload] {
         SegmentView view;
         if (parse_segment(*packet, &offload, view) != ParseError::kNone) std::abort();
         sink = view.segment_size;
       };
     }},
    {"verdict on a datagram",
     [] {
       auto segment = std::make_shared<SegmentView>();
       segment->flags = kAck;
       auto next = std::make_shared<uint32_t>(0);
       auto data = std::make_shared<std::vector<uint8_t>>(kDatagram);
       segment->payload = *data;
       const Windows windows{.late = 1 << 27, .fin = 1 << 24, .fin_late = 1 << 20};
       return [segment, next, data, windows] {
         segment->seq = *next += kDatagram;
         sink = static_cast<size_t>(
             judge(*segment, {.send_next = 0, .receive_next = segment->seq, .peer_ack = 0}, windows));
       };
     }},
    {"answer to a SYN: its cookie",
     [] {
       auto next = std::make_shared<uint16_t>(0);
       return [next, cookies = SynCookies({1, 2}, 32)] {
         sink = cookies.make(tuple_of((*next)++), {.scaled = true, .mss = 1460}, 7);
       };
     }},
    {"look-up among 1000 flows",
     [] {
       auto table = std::make_shared<TupleTable<std::shared_ptr<Entry>>>(0x1234567890abcdef);
       for (uint16_t i = 0; i < 1000; ++i) table->insert(std::make_shared<Entry>(Entry{tuple_of(40000 + i)}));
       auto next = std::make_shared<uint16_t>(0);
       return [table, next] {
         *next = static_cast<uint16_t>((*next + 617) % 1000);
         sink = reinterpret_cast<uintptr_t>(table->find(tuple_of(40000 + *next)));
       };
     }},
    {"headers of a segment",
     [] {
       auto header = std::make_shared<SegmentHeader>(tuple_of(40000));
       return [header] {
         uint8_t out[kMaxHeaders];
         sink = header->write(out, 1, 2, kAck, {}, kDatagram);
       };
     }},
    {"write of 46 datagrams as one super-segment",
     [] {
       auto device =
           std::make_shared<DescriptorDevice>(UniqueFd(::open("/dev/null", O_WRONLY)), true, true, kOnePacket);
       auto header = std::make_shared<SegmentHeader>(tuple_of(40000));
       auto data = std::make_shared<std::vector<uint8_t>>(kBatch * kDatagram, 0x5a);
       auto run = std::make_shared<SegmentRun>(64, kMaxPacket - header->size());
       return [device, header, data, run] {
         for (size_t i = 0; i < kBatch; ++i) run->add(data->data() + i * kDatagram, kDatagram, kDatagram);
         if (device->write_run({}, *header, 1, 2, true, *run).error != 0) std::abort();
         run->clear();
       };
     }},
    {"write of 46 datagrams one by one, without offload",
     [] {
       auto device =
           std::make_shared<DescriptorDevice>(UniqueFd(::open("/dev/null", O_WRONLY)), false, false, kOnePacket);
       auto header = std::make_shared<SegmentHeader>(tuple_of(40000));
       auto data = std::make_shared<std::vector<uint8_t>>(kBatch * kDatagram, 0x5a);
       auto run = std::make_shared<SegmentRun>(64, kMaxPacket - header->size());
       return [device, header, data, run] {
         run->add(data->data(), data->size(), kDatagram);
         if (device->write_run({}, *header, 1, 2, true, *run).error != 0) std::abort();
         run->clear();
       };
     }},
    {"event across the border",
     [] {
       auto queue = std::make_shared<EventQueue>(map(4 << 20));
       auto data = std::make_shared<std::vector<uint8_t>>(kDatagram, 0x5a);
       return [queue, data] {
         EventRecord record;
         record.type = EventType::kDatagram;
         record.set_tuple(tuple_of(40000));
         bool wake = false;
         if (!queue->push(record, {}, *data, wake)) std::abort();
         sink = queue->swap().size;
       };
     }},
};

}  // namespace

// micro            lists the cases
// micro CASE N     runs one N times and prints nanoseconds each
int main(int argc, char** argv) {
  if (argc < 3) {
    for (const auto& [name, _] : kCases) std::puts(name.c_str());
    return 0;
  }
  const auto found = kCases.find(argv[1]);
  if (found == kCases.end()) return 2;
  const auto step = found->second();
  const uint64_t times = std::strtoull(argv[2], nullptr, 10);
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < times; ++i) step();
  const auto spent = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin);
  std::printf("%.1f\n", static_cast<double>(spent.count()) / static_cast<double>(times));
  return 0;
}
