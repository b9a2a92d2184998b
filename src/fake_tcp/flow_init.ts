import type { Profile } from '../wire/profile.js';
import type { PathSigns } from './flow_path.js';

/** What is known of a connection when it is established. */
export interface FlowInit extends PathSigns {
  /** In the data plane. */
  readonly id: number;
  readonly worker: number;
  /** The tuple, as `tupleKey` makes it. */
  readonly key: string;
  readonly profile: Profile;
  /** Windows are scaled: as far as is known, both SYNs had the option when they arrived. */
  readonly scaled: boolean;
  readonly maxPayload: number;
  /** Milliseconds from our SYN to its answer, where that is known. */
  readonly roundTrip?: number;
  /** Datagrams that came before the flow was in the table. */
  readonly early: readonly Uint8Array[];
  /** The peer has opened it. */
  readonly accepted: boolean;
  /** Lets this side's end go. */
  readonly release: () => void;
}
