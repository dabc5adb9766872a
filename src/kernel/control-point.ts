// A control point names a place where a test may stop, slow or kill the process; production passes the no-op below.
// It is a constructor argument, never configuration, environment or network input, so nobody outside can reach one.

/** Called with the name of the place reached, e.g. `prepare.before`, and optionally which participant. */
export type ControlPoint = (name: ControlPointName, participant?: number) => void | Promise<void>;

export const CONTROL_POINT_NAMES = [
  'prepare.before',
  'prepare.after',
  'append.before',
  'append.after',
  'fsync.before',
  'fsync.after',
  'commit.before',
  'commit.after',
  'end.before',
  'end.after',
  'recovery.fenced',
  'recovery.gathered',
  'recovery.resolve.before',
  'recovery.resolve.after',
] as const;

/** Places in the operator, which no proxy reaches. */
export const OPERATOR_CONTROL_POINT_NAMES = [
  'operator.recovery.fenced',
  'operator.recovery.dumped',
  'operator.recovery.resolved',
] as const;

export type ControlPointName = (typeof CONTROL_POINT_NAMES)[number] | (typeof OPERATOR_CONTROL_POINT_NAMES)[number];

/** The production value: nothing happens. */
export const noControlPoint: ControlPoint = () => undefined;
