// Whom PostgreSQL runs as when we are root, and whether that account can reach a directory.
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { chooseAccount, closedParent } from '../../../src/dev/account.ts';

const PASSWD = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin
dba:x:1001:1002::/home/dba:/bin/sh
`;
const POSTGRES = 'postgres:x:26:27::/var/lib/postgresql:/bin/bash\n';

describe('the account for PostgreSQL', () => {
  it('is one made for PostgreSQL before nobody', () => {
    expect(chooseAccount(PASSWD)).toEqual({ name: 'nobody', uid: 65_534, gid: 65_533 });
    expect(chooseAccount(PASSWD + POSTGRES)).toEqual({ name: 'postgres', uid: 26, gid: 27 });
  });

  it('is the owner of data that were kept, whatever would be chosen today', () => {
    expect(chooseAccount(PASSWD + POSTGRES, 1001)).toEqual({ name: 'dba', uid: 1001, gid: 1002 });
  });

  it('is never root, not even when root owns the directory or an account is an alias of root', () => {
    expect(chooseAccount(PASSWD, 0)?.name).toBe('nobody');
    expect(chooseAccount('postgres:x:0:0::/:/bin/sh\n')).toBeUndefined();
  });

  it('reads the negative uid that macOS gives to nobody, and skips comments', () => {
    expect(chooseAccount('# nobody:*:1:1::/:/\nnobody:*:-2:-2:Unprivileged:/var/empty:/usr/bin/false\n')).toEqual({
      name: 'nobody',
      uid: 4_294_967_294,
      gid: 4_294_967_294,
    });
  });
});

describe('the way to a directory', () => {
  const stranger = { name: 'stranger', uid: 4_000_000, gid: 4_000_000 };

  it('is closed by the first parent that others cannot pass, and open for ourselves', async () => {
    const root = await mkdtemp(path.join(os.tmpdir(), 'atomshard-way-'));
    try {
      await chmod(root, 0o755);
      await mkdir(path.join(root, 'closed', 'inner'), { recursive: true });
      await chmod(path.join(root, 'closed'), 0o700);
      expect(await closedParent(path.join(root, 'closed', 'inner', 'pgdata'), stranger)).toBe(
        path.join(root, 'closed'),
      );
      expect(await closedParent(path.join(root, 'new', 'pgdata'), stranger)).toBeUndefined();
      expect(await closedParent(path.join(root, 'closed', 'inner', 'pgdata'), undefined)).toBeUndefined();
    } finally {
      await rm(root, { recursive: true });
    }
  });
});
