/** One line of `berth check`. */

export type CheckState = 'ok' | 'missing' | 'limited';

export interface Check {
  readonly area: 'kernel' | 'privileges' | 'cgroup' | 'network' | 'programs' | 'security';
  readonly name: string;
  /** `missing`: berthd cannot work. `limited`: it works, with the cost that is named. */
  readonly state: CheckState;
  /** What was found. */
  readonly found: string;
  /** What its absence costs, and what to do; empty when nothing is missing. */
  readonly cost: string;
}

type CheckParts = Pick<Check, 'area' | 'name' | 'found'>;

/** A check of something without which berthd cannot work. */
export function essential(parts: CheckParts, present: boolean, cost: string): Check {
  return { ...parts, state: present ? 'ok' : 'missing', cost: present ? '' : cost };
}

/** A check of something that berthd can do without. */
export function optional(parts: CheckParts, present: boolean, cost: string): Check {
  return { ...parts, state: present ? 'ok' : 'limited', cost: present ? '' : cost };
}
