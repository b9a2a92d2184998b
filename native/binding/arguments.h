// What JavaScript gives, checked: nothing passes from here that is not of its type and in its range. Misuse throws a
// TypeError or RangeError with the code and the form of ERR_GUISE_ARGUMENT in src/errors.ts.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "plane/datagram_queue.h"
#include "wire/tuple.h"
#include "wire/way.h"

namespace guise::arguments {

inline constexpr uint32_t kAny32 = UINT32_MAX;
inline constexpr uint32_t kAny16 = UINT16_MAX;
inline constexpr size_t kAddressBytes = 16;
inline constexpr size_t kTupleBytes = 2 * kAddressBytes + 2 * sizeof(uint16_t);

template <typename Kind>
[[noreturn]] inline void refuse(Napi::Env env, const std::string& name, const std::string& found,
                                const std::string& expected) {
  const Kind error = Kind::New(env, name + " is " + found + "; give " + expected + ".");
  error.Value().Set("code", "ERR_GUISE_ARGUMENT");
  throw Kind(error);
}

inline std::string kind_of(const Napi::Value& value) {
  if (value.IsUndefined() || value.IsEmpty()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsString()) return "a string";
  if (value.IsBoolean()) return "a boolean";
  if (value.IsNumber()) return "the number " + value.ToString().Utf8Value();
  if (value.IsArray()) return "a list of " + std::to_string(value.As<Napi::Array>().Length());
  if (value.IsFunction()) return "a function";
  return value.IsObject() ? "an object" : "of another type";
}

// A whole number from `least` to `most`.
inline uint32_t whole_number(const Napi::Value& value, const std::string& name, uint32_t least, uint32_t most) {
  const auto expected = [&] { return "a whole number from " + std::to_string(least) + " to " + std::to_string(most); };
  if (!value.IsNumber()) refuse<Napi::TypeError>(value.Env(), name, kind_of(value), expected());
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= least && number <= most) || std::trunc(number) != number) {
    refuse<Napi::RangeError>(value.Env(), name, value.ToString().Utf8Value(), expected());
  }
  return static_cast<uint32_t>(number);
}

inline uint16_t port(const Napi::Value& value, const std::string& name, uint16_t least) {
  return static_cast<uint16_t>(whole_number(value, name, least, kAny16));
}

inline bool boolean(const Napi::Value& value, const std::string& name) {
  if (!value.IsBoolean()) refuse<Napi::TypeError>(value.Env(), name, kind_of(value), "true or false");
  return value.As<Napi::Boolean>().Value();
}

inline std::string text(const Napi::Value& value, const std::string& name) {
  if (!value.IsString()) refuse<Napi::TypeError>(value.Env(), name, kind_of(value), "a string");
  return value.As<Napi::String>().Utf8Value();
}

inline Napi::Object object(const Napi::Value& value, const std::string& name) {
  if (!value.IsObject()) refuse<Napi::TypeError>(value.Env(), name, kind_of(value), "an object");
  return value.As<Napi::Object>();
}

inline Napi::Function function(const Napi::Value& value, const std::string& name) {
  if (!value.IsFunction()) refuse<Napi::TypeError>(value.Env(), name, kind_of(value), "a function");
  return value.As<Napi::Function>();
}

inline Napi::Array list(const Napi::Value& value, const std::string& name, size_t least, size_t most) {
  const auto expected = [&] { return "a list of " + std::to_string(least) + " to " + std::to_string(most); };
  if (!value.IsArray()) refuse<Napi::TypeError>(value.Env(), name, kind_of(value), expected());
  const auto array = value.As<Napi::Array>();
  if (array.Length() < least || array.Length() > most) {
    refuse<Napi::RangeError>(value.Env(), name, kind_of(value), expected());
  }
  return array;
}

template <typename Array>
Array typed_array(const Napi::Value& value, const std::string& name, napi_typedarray_type type,
                  const std::string& expected) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    refuse<Napi::TypeError>(value.Env(), name, kind_of(value), expected);
  }
  return value.As<Array>();
}

// Valid until JavaScript runs again.
inline std::span<const uint8_t> bytes(const Napi::Value& value, const std::string& name) {
  const auto array = typed_array<Napi::Uint8Array>(value, name, napi_uint8_array, "a Uint8Array");
  return {array.Data(), array.ByteLength()};
}

inline std::span<const uint8_t> bytes(const Napi::Value& value, const std::string& name, size_t size) {
  const std::span<const uint8_t> all = bytes(value, name);
  if (all.size() != size) {
    refuse<Napi::RangeError>(value.Env(), name, std::to_string(all.size()) + " bytes", std::to_string(size) + " bytes");
  }
  return all;
}

inline Address address_at(std::span<const uint8_t> at) { return Address::from_v6(at.data()); }

// An address of 16 bytes, IPv4 mapped, and a port.
inline Endpoint endpoint(const Napi::Value& address, const Napi::Value& number, uint16_t least_port) {
  return {address_at(bytes(address, "address", kAddressBytes)), port(number, "port", least_port)};
}

// Local address, remote address, local port, remote port.
inline Tuple tuple(const Napi::Value& value) {
  const std::span<const uint8_t> all = bytes(value, "tuple", kTupleBytes);
  uint16_t ports[2];
  std::memcpy(ports, &all[2 * kAddressBytes], sizeof ports);
  return {{address_at(all), ports[0]}, {address_at(all.subspan(kAddressBytes)), ports[1]}};
}

inline Way way(const Napi::Value& value) {
  if (!value.IsBigInt()) refuse<Napi::TypeError>(value.Env(), "way", kind_of(value), "a BigInt");
  bool lossless = false;
  const Way found(value.As<Napi::BigInt>().Uint64Value(&lossless));
  if (!lossless) refuse<Napi::RangeError>(value.Env(), "way", "larger", "a BigInt of 64 bits");
  return found;
}

// Whole words, as many as a TCP header takes (RFC 9293 §3.1).
inline std::vector<uint8_t> tcp_options(const Napi::Value& value, const std::string& name) {
  const std::span<const uint8_t> options = bytes(value, name);
  if (options.size() > 40 || options.size() % 4 != 0) {
    refuse<Napi::RangeError>(value.Env(), name, std::to_string(options.size()) + " bytes",
                             "a multiple of 4 up to 40 bytes");
  }
  return {options.begin(), options.end()};
}

inline std::vector<Datagram> datagrams(const Napi::Value& value) {
  const Napi::Array array = list(value, "datagrams", 0, kAny32);
  std::vector<Datagram> all;
  all.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const std::span<const uint8_t> one = bytes(array.Get(i), "a datagram");
    all.emplace_back(one.begin(), one.end());
  }
  return all;
}

}  // namespace guise::arguments
