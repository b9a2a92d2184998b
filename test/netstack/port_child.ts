/** A process, or a thread, with a port; its argument says what it does to it. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { openPort } from '../../src/native/packet_port.js';
import { socketpair } from '../support/device.js';

const [descriptor] = socketpair();
const port = openPort({ descriptor, virtioHeader: false, segmentation: false });
port.watch(() => {});

switch (process.argv[2]) {
  case 'unref':
    port.unref();
    port.ref();
    port.unref();
    break;
  case 'close':
    setImmediate(() => port.close());
    break;
  case 'memory': {
    port.close();
    const memory = openPort({ memory: true, mtu: 1500 });
    memory.unref();
    memory.watch(() => {});
    memory.feed(new Uint8Array(1));
    break;
  }
  case 'thread':
    parentPort!.postMessage('open');
}
if (isMainThread) process.on('exit', () => process.stdout.write('end\n'));
