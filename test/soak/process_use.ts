/** Memory and descriptors of the client or the server, whose processes come and go. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Part } from '../net/faults.js';
import type { RunningProgram } from '../net/process.js';

interface Sample {
  /** Resident, in KiB. */
  readonly memory: number;
  readonly descriptors: number;
}

export interface Use {
  readonly part: Part;
  readonly processes: number;
  /** Of the first process. */
  readonly start: Sample;
  /** Of the last. */
  readonly end: Sample;
  /** The most by which one process grew. */
  readonly growth: Sample;
}

export class ProcessUse {
  readonly part: Part;
  readonly #lives = new Map<number, { first: Sample; last: Sample }>();

  constructor(part: Part) {
    this.part = part;
  }

  sample({ pid }: RunningProgram): void {
    const memory = Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
    const last = { memory, descriptors: readdirSync(`/proc/${pid}/fd`).length };
    this.#lives.set(pid, { first: this.#lives.get(pid)?.first ?? last, last });
  }

  result(): Use {
    const lives = [...this.#lives.values()];
    const most = (what: keyof Sample): number => Math.max(...lives.map(({ first, last }) => last[what] - first[what]));
    return {
      part: this.part,
      processes: lives.length,
      start: lives[0]!.first,
      end: lives.at(-1)!.last,
      growth: { memory: most('memory'), descriptors: most('descriptors') },
    };
  }
}
