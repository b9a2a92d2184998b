import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const program = `${root}/build/unit`;

// The native code that needs no Node, under AddressSanitizer and UBSan; each of its cases is a test of this run.
execFileSync('g++', [
  '-std=c++20', '-g', '-O1', '-Wall', '-Wextra', '-Wno-missing-field-initializers', '-Werror',
  '-fsanitize=address,undefined', '-fno-sanitize-recover=all',
  '-o', program, 'test/native/unit.cc', 'native/packet/segment.cc', 'native/packet_device.cc',
], { cwd: root, stdio: 'inherit' });
await t.spawn(program, [], {}, 'native code under AddressSanitizer and UBSan');
