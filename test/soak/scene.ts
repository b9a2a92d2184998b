/** The rig under load: client and server across the NAT, and who talks through them. */
import { Rig, type Host } from '../net/rig.js';
import type { Device, Part, Scene } from '../net/faults.js';
import type { RunningProgram } from '../net/process.js';
import { Load } from './load.js';

/** Two workers, however few processors there are. */
const ARGUMENTS: Readonly<Record<Part, readonly string[]>> = {
  client: ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567', '--queues', '2'],
  server: ['--local', '4567', '--remote', '127.0.0.1:7000', '--queues', '2'],
};

export class SoakScene implements Scene, AsyncDisposable {
  readonly rig: Rig;
  readonly load: Load;
  readonly #device: Device;
  readonly #programs: Record<Part, RunningProgram>;

  private constructor(rig: Rig, load: Load, device: Device, programs: Record<Part, RunningProgram>) {
    this.rig = rig;
    this.load = load;
    this.#device = device;
    this.#programs = programs;
  }

  static async create(device: Device): Promise<SoakScene> {
    const rig = await Rig.create({ strict: true });
    try {
      await addSecondLink(rig);
      const server = await start(rig.server, 'server', device);
      const client = await start(rig.client, 'client', device);
      const load = await Load.start({ client: rig.client, tunnelPort: 5000, server: rig.server, servicePort: 7000 });
      return new SoakScene(rig, load, device, { client, server });
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
  }

  program(part: Part): RunningProgram {
    return this.#programs[part];
  }

  async restart(part: Part): Promise<void> {
    await this.#programs[part].stop('SIGKILL');
    this.#programs[part] = await start(this.rig[part], part, this.#device);
  }

  stopService(): void {
    this.load.stopService();
  }

  startService(): Promise<void> {
    return this.load.startService();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.load[Symbol.dispose]();
    await this.rig[Symbol.asyncDispose]();
  }
}

function start(host: Host, part: Part, device: Device): Promise<RunningProgram> {
  return host.guise(part, [...ARGUMENTS[part], '--device', device]);
}

/** Client 10.0.3.2 ── 10.0.3.1 router, beside the first. */
async function addSecondLink({ client, router }: Rig): Promise<void> {
  await client.run('ip', ['link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'client2', 'netns', router.name]);
  await router.run('ip', ['address', 'add', '10.0.3.1/24', 'dev', 'client2']);
  await router.run('ip', ['link', 'set', 'client2', 'up']);
  await client.run('ip', ['address', 'add', '10.0.3.2/24', 'dev', 'eth1']);
  await client.run('ip', ['link', 'set', 'eth1', 'up']);
}
