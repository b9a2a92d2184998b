/** Processor time and memory, of the machine and of processes. */
import { readdirSync, readFileSync } from 'node:fs';

/** Of /proc, USER_HZ: 100 on every architecture that Node runs on (include/asm-generic/param.h). */
const TICKS_PER_SECOND = 100;

export interface CpuReading {
  /** Seconds since boot that all processors together were not idle. */
  readonly machine: number;
  /** Seconds that a hypervisor gave to others. */
  readonly stolen: number;
  /** Seconds of the processes asked for. */
  readonly processes: number;
}

export function readCpu(pids: readonly number[] = []): CpuReading {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.trim().split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields;
  return {
    machine: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    stolen: steal / TICKS_PER_SECOND,
    processes: pids.reduce((sum, pid) => sum + processSeconds(pid), 0),
  };
}

export function since(before: CpuReading, pids: readonly number[] = []): CpuReading {
  const now = readCpu(pids);
  return {
    machine: now.machine - before.machine,
    stolen: now.stolen - before.stolen,
    processes: now.processes - before.processes,
  };
}

/** What the threads of a process ran, to the nanosecond: /proc/PID/stat counts in hundredths of a second. */
function processSeconds(pid: number): number {
  const nanoseconds = readdirSync(`/proc/${pid}/task`).map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e9;
}

/** Resident memory in KiB. */
export function residentKiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN);
}
