// Kubernetes writes sizes as `64Mi` and times as `24h`; the proxy's configuration holds bytes and milliseconds.

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Bytes of a resource quantity, e.g. `64Mi` or `1500M`; undefined when it is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kMGT]i?|Ki)?$/.exec(text);
  const unit = SIZE_UNITS[match?.[2] ?? ''];
  return match === null || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}

/** Milliseconds of a duration as Go writes it, e.g. `90s`, `1h30m`, `500ms`, also `7d`; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  return Math.round(parts.reduce((sum, [, value, unit]) => sum + Number(value) * (TIME_UNITS[unit ?? ''] ?? 0), 0));
}

/** An instant for people and for a status, from milliseconds since the Unix epoch; to the second, as more would be noise. */
export function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
