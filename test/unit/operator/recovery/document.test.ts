// docs/RECOVERY.md tells whoever is on call what each reason of a condition means: all of them, and none that the code does not have.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONDITION_REASONS } from '../../../../src/operator/recovery/conditions.ts';
import { documentTable } from '../../../support/document-table.ts';

const SOURCES = path.resolve(import.meta.dirname, '../../../../src');

const linesOf = (room: string): string[] =>
  readdirSync(room).flatMap((file) => readFileSync(path.join(room, file), 'utf8').split('\n'));

describe('docs/RECOVERY.md', () => {
  it('explains every reason that a condition of recovery can have when it is not well, and says what to do', () => {
    const rows = documentTable('RECOVERY.md', '| condition | reason | what it means | what to do |');
    const told = rows.map(([condition, reason]) => `${condition} ${reason}`);
    expect(told.toSorted()).toEqual([...CONDITION_REASONS].toSorted());
    expect(rows.filter(([, , , advice]) => (advice ?? '').length < 10)).toEqual([]);
  });

  it('quotes what the code says when it would act and cannot', () => {
    const told = documentTable('RECOVERY.md', '| message of RecoveryBlocked | what to do |').map(
      ([message = '']) => message,
    );
    const code = ['operator/recovery', 'recovery'].flatMap((room) => linesOf(path.join(SOURCES, room)));
    const isSaid = (message: string) => {
      const parts = message.split('…').map((part) => part.trim());
      return code.some((line) => parts.every((part) => line.includes(part)));
    };
    expect(told.filter((message) => !isSaid(message))).toEqual([]);
    expect(told.length).toBeGreaterThan(5);
  });
});
