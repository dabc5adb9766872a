import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  NO_SETTINGS,
  quoteLiteral,
  type Settings,
  setStatement,
  settingsDifference,
  withoutSetting,
  withSetting,
} from '../../../src/session/settings.ts';

const settings = fc
  .dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('1', '2', '3'))
  .map((values) =>
    Object.entries(values).reduce<Settings>(
      (all, [name, value]) => withSetting(all, name, setStatement(name, value)),
      NO_SETTINGS,
    ),
  );

describe('settings', () => {
  it('equal contents have equal keys, whatever the order they came in', () => {
    const one = withSetting(withSetting(NO_SETTINGS, 'A', 'x'), 'b', 'y');
    const other = withSetting(withSetting(withSetting(NO_SETTINGS, 'b', 'z'), 'a', 'x'), 'b', 'y');
    expect(one.key).toBe(other.key);
    expect(withoutSetting(withoutSetting(one, 'a'), 'B')).toBe(NO_SETTINGS);
  });

  it('the difference between any two, applied to the first, gives the second', () => {
    fc.assert(
      fc.property(settings, settings, (from, to) => {
        const inForce = new Map(from.statements);
        for (const sql of settingsDifference(from, to)) {
          const reset = /^RESET "(.)"$/.exec(sql)?.[1];
          if (reset !== undefined) inForce.delete(reset);
          else inForce.set(/^SET "(.)"/.exec(sql)?.[1] ?? '', sql);
        }
        expect(inForce).toEqual(to.statements);
        if (from.key === to.key) expect(settingsDifference(from, to)).toEqual([]);
      }),
    );
  });

  it('values are quoted so that no text can end the literal', () => {
    expect(quoteLiteral("it's")).toBe("'it''s'");
    expect(quoteLiteral('a\\b')).toBe(" E'a\\\\b'");
    expect(setStatement('my.Setting', "'; DROP TABLE x; --")).toBe(`SET "my"."Setting" TO '''; DROP TABLE x; --'`);
  });
});
