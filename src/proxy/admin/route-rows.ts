// SHOW ROUTE: where the router would send a statement, and why not if it would refuse it.
import type { Route } from '../../routing/plan.ts';
import type { SessionServices } from '../../session/session-state.ts';
import type { AdminRow } from './answer.ts';

/** One row for each statement of `text`; nothing is run. */
export function routeRows({ router, shardNames }: SessionServices, text: string): AdminRow[] {
  return router.plan(text).statements.map((statement) => {
    const route = statement.route(undefined);
    return [statement.text, route.kind, shardsOf(route, shardNames), statement.writes, reasonOf(route)];
  });
}

function shardsOf(route: Route, names: readonly string[]): string | null {
  const name = (shard: number) => names[shard] ?? String(shard);
  switch (route.kind) {
    case 'one':
      return name(route.shard);
    case 'some':
      return route.shards.map(name).join(',');
    case 'split':
      return route.parts.map(({ shard }) => name(shard)).join(',');
    case 'all':
      return names.join(',');
    case 'any':
      return route.prefer === undefined ? names.join(',') : name(route.prefer);
    case 'refused':
      return null;
  }
}

function reasonOf(route: Route): string | null {
  if (route.kind !== 'refused') return null;
  const { code, message, hint } = route.error;
  return `${code}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
}
