# What only tests and benchmarks need. It ends up beside the addon, in build/Release of the checkout.
{
  "includes": ["../../compiler.gypi"],
  "target_defaults": {
    "include_dirs": ["../../native"],
    "product_dir": "<(module_root_dir)/../../build/Release"
  },
  "targets": [
    {
      "target_name": "test_support",
      "sources": ["../support/socketpair.cc"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_CPP_EXCEPTIONS"]
    },
    {
      "target_name": "traffic",
      "type": "executable",
      "sources": ["../../bench/traffic/main.cc"],
      "cflags_cc": ["-pthread"],
      "ldflags": ["-pthread"]
    },
    {
      "target_name": "streams",
      "type": "executable",
      "sources": ["../../bench/streams/main.cc"]
    },
    {
      "target_name": "path_relay",
      "type": "executable",
      "sources": ["../net/path_relay/main.cc"],
      "cflags_cc": ["-pthread"],
      "ldflags": ["-pthread"]
    },
    {
      "target_name": "box",
      "type": "executable",
      "sources": ["../net/box/main.cc", "../../native/wire/segment.cc"]
    },
    {
      "target_name": "packetdrill_adapter",
      "sources": ["../conformance/adapter.c", "../conformance/channel.c"],
      "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"]
    },
    {
      "target_name": "micro",
      "type": "executable",
      "sources": ["../../bench/micro/main.cc", "../../native/wire/segment.cc", "../../native/io/packet_device.cc", "../../native/io/descriptor_device.cc"]
    }
  ]
}
